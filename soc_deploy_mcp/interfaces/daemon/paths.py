"""Where the daemon and its clients meet: the socket directory below the state home.

The paths depend on the home alone, never on the rest of the environment: some clients start servers with HOME and
PATH only, and two clients that compute two sockets would start two daemons.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from soc_deploy_mcp.interfaces.daemon.trouble import trouble

LONGEST = 100  # bytes of a socket path: sun_path holds 108 on Linux and 104 on macOS


class Paths(NamedTuple):
    home: str  # the state home
    run: str  # the socket directory, 0700
    socket: str
    starter: str  # locked by the client that starts the daemon
    owner: str  # locked by the daemon for life
    log: str  # a link to what the supervisor writes and rotates
    open: str  # exists while runs are open; the supervisor restarts a dead daemon only then
    supervisor: str  # the supervisor's own directory

    @classmethod
    def of(cls, home: str) -> Paths:
        """The paths of a state home; makes nothing."""
        home = os.path.abspath(home)
        run = os.path.join(home, "run")
        names = ("starter.lock", "owner.lock", "daemon.log", "open", "daemon")
        return cls(home, run, _socket(home, run), *(os.path.join(run, name) for name in names))

    def prepare(self) -> None:
        """Make the directories, private to this user. DeployError E_HOME_UNFIT when they are not."""
        try:
            os.makedirs(self.home, mode=0o700, exist_ok=True)
        except OSError as error:
            raise trouble("E_HOME_UNFIT", f"{self.home} cannot be made.", error.strerror or "", _OTHER_HOME) from None
        for directory in dict.fromkeys((self.run, self.supervisor, os.path.dirname(self.socket))):
            _private(directory)
        with contextlib.suppress(FileExistsError):
            os.symlink(os.path.join(os.path.basename(self.supervisor), "out.log"), self.log)


def home_of(environ: Mapping[str, str]) -> str:
    """The state home: SOC_DEPLOY_HOME, else soc-deploy below XDG_STATE_HOME (default ~/.local/state)."""
    if chosen := environ.get("SOC_DEPLOY_HOME"):
        return os.path.abspath(chosen)
    state = environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "soc-deploy")


def _socket(home: str, run: str) -> str:
    plain = os.path.join(run, "soc-deploy.sock")
    if len(os.fsencode(plain)) <= LONGEST:
        return plain
    import hashlib

    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:8] + ".sock"
    login = f"/run/user/{os.getuid()}"
    if os.path.isdir(login):
        return f"{login}/soc-deploy-{name}"
    return f"/tmp/soc-deploy-{os.getuid()}/{name}"


def _private(directory: str) -> None:
    """The directory exists, is no link, is ours and nobody else can enter it: else somebody else's socket may wait."""
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise trouble("E_HOME_UNFIT", f"{directory} cannot be used.", error.strerror or "", _OTHER_HOME) from None
    try:
        found = os.fstat(handle)
    finally:
        os.close(handle)
    if found.st_uid != os.getuid():
        raise trouble("E_HOME_UNFIT", f"{directory} belongs to another user.", f"uid {found.st_uid}", _OTHER_HOME)
    if stat.S_IMODE(found.st_mode) & 0o077:
        why = f"its mode is {stat.S_IMODE(found.st_mode):o}, it must be 700"
        raise trouble("E_HOME_UNFIT", f"Other users can enter {directory}.", why, f"chmod 700 {directory}")


_OTHER_HOME = "export SOC_DEPLOY_HOME=~/.soc-deploy"
