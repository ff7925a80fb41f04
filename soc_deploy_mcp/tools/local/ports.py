"""Ports for instances: 20000-29999, outside the range from which outgoing connections take theirs."""

import contextlib
import fcntl
import os
import random
import socket
from collections.abc import Collection, Iterator
from pathlib import Path

from soc_deploy_mcp.core.config.service import INSTANCE_PORTS
from soc_deploy_mcp.core.errors import DeployError

GONE = "gone"  # the mark of a directory whose instance was stopped for good


@contextlib.contextmanager
def reserving(home: Path) -> Iterator[None]:
    """Only one process chooses ports at a time. Held for milliseconds."""
    descriptor = os.open(home / "ports.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def reserved(home: Path) -> set[int]:
    """The ports of all instance directories of all targets: the directory is the reservation until it is buried."""
    names = (path.name for path in home.glob("t/*/i/*-*") if not (path / GONE).exists())
    return {int(port) for name in names if (port := name.rpartition("-")[2]).isdigit()}


def free(home: Path, besides: Collection[int] = ()) -> int:
    """A port that nobody reserved and nobody listens on. Raises E_NO_PORT.

    Drawn at random: a port that was just given up is then seldom the next one, so that an answer is never taken for
    that of another release.
    """
    taken = reserved(home) | set(besides)
    candidates = [p for p in INSTANCE_PORTS if p not in taken]
    for port in random.sample(candidates, k=min(len(candidates), 500)):
        if bindable(port):
            return port
    raise DeployError(
        "E_NO_PORT",
        f"no free port in {INSTANCE_PORTS.start}-{INSTANCE_PORTS.stop - 1}",
        f"{len(taken)} are reserved by releases, the others are in use.",
        "ss -ltn",
    )


def bindable(port: int) -> bool:
    """Nobody listens on it. Connections of former users that are still closing do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
