"""One daemon per state home: whoever holds `owner.lock`, for life and before touching the socket.

The starter's lock is not enough: a second daemon would unlink the live socket of the first, and both would run.
"""

import fcntl
import os
import time
from pathlib import Path

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.engine.mounts import remote
from soc_deploy_mcp.interfaces.daemon.paths import Paths
from soc_deploy_mcp.interfaces.daemon.spawn import POLL_S, connect

LEAVING_S = 15.0  # a daemon on its way out may take 10


class Owner:
    """The held lock. It is let go by the end of the process; `release` is for tests and for serving in a thread."""

    def __init__(self, paths: Paths, handle: int) -> None:
        self.paths, self._handle = paths, handle

    def release(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def holds(self) -> bool:
        """The lock's file is still the one that others would lock."""
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self.paths.owner))
        except OSError:
            return False


def own(paths: Paths) -> Owner:
    """Take the lock. E_DAEMON when another daemon serves this home, E_HOME_UNFIT for a home that cannot be used.

    A daemon that holds the lock without listening is starting or leaving: it gets some time.
    """
    paths.prepare()
    if kind := remote(Path(paths.home)):
        why = f"{paths.home} is on {kind}: locks and the journal are not safe there"
        raise DeployError("E_HOME_UNFIT", "The state home is on a network file system.", why, _OTHER_HOME)
    handle = os.open(paths.owner, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + LEAVING_S
    while not _locked(handle):
        if _listens(paths) or time.monotonic() > deadline:
            os.close(handle)
            raise DeployError(
                "E_DAEMON", "Another daemon serves this state home.", paths.home, "soc-deploy daemon status"
            )
        time.sleep(POLL_S)
    return Owner(paths, handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _listens(paths: Paths) -> bool:
    sock = connect(paths)
    if sock is not None:
        sock.close()
    return sock is not None


_OTHER_HOME = "export SOC_DEPLOY_HOME=/var/lib/soc-deploy"
