"""A state home and ports for one test, so that tests run beside each other and beside a real installation."""

import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import assert_nothing_left, kill_below

# Between the privileged ports and soc-deploy's instances (20000-29999); below the usual ephemeral range (32768 and up),
# where an outgoing connection could take a port between the moment it is chosen and the moment it is listened on.
_PORTS = range(10000, 20000)
_LONGEST_SOCKET = "/t/0123456789ab/r/guard.sock.tmp"  # below the home
_given: set[int] = set()


@contextmanager
def state_home() -> Iterator[Path]:
    """A private empty folder for SOC_DEPLOY_HOME, with a short path. At the end nothing that runs may name it."""
    home = Path(tempfile.mkdtemp(prefix="soc-", dir=min((tempfile.gettempdir(), "/tmp"), key=len)))
    assert len(f"{home}{_LONGEST_SOCKET}") < 100
    try:
        yield home
        assert_nothing_left(home)
    finally:
        kill_below(home)
        shutil.rmtree(home, ignore_errors=True)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, never the same twice in this process."""
    dice = random.SystemRandom()  # pytest-xdist gives every worker the same seed
    for _ in range(1000):
        port = dice.choice(_PORTS)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise AssertionError(f"no free port in {_PORTS}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
