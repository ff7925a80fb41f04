"""Who can be killed in a living installation, found by what the supervisors wrote down. Always pid and start time."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from soc_deploy_mcp.tools.local import instances
from soc_deploy_mcp.tools.local.instances import Status

Victim = Literal[
    "daemon",
    "daemon's supervisor",
    "client",
    "guard",
    "guard's supervisor",
    "router",
    "router's supervisor",
    "new instance",
    "new instance's supervisor",
    "old instance",
    "old instance's supervisor",
]
VICTIMS: tuple[Victim, ...] = get_args(Victim)
FOUND_S = 20.0


def slug(version: str) -> str:
    """What the release slugs of a version begin with."""
    return re.sub("[^A-Za-z0-9]", "_", version) + "-"


@dataclass(frozen=True)
class Slugs:
    """Beginnings of release slugs: `v1_1_0-`."""

    new: str
    old: str

    @classmethod
    def of(cls, new: str, old: str) -> "Slugs":
        return cls(slug(new), slug(old))


def status_of(directory: Path) -> Status | None:
    return instances.read_status(directory)


def find(home: Path, victim: Victim, slugs: Slugs) -> int | None:
    """The pid of a victim that lives now. None: there is none at this moment."""
    whose, _, supervisor = victim.partition("'s ")
    for directory in _directories(home, whose, slugs):
        status = status_of(directory)
        supervised = instances.shim_lives(status)
        if status and supervisor and supervised:
            return status.shim
        # An instance without a supervisor would not be started again before the next order to its release.
        if status and not supervisor and instances.lives(status) and (supervised or "instance" not in whose):
            return status.pid
    return None


def _directories(home: Path, whose: str, slugs: Slugs) -> list[Path]:
    match whose:
        case "daemon":
            return [home / "run" / "daemon"]
        case "guard":
            return list(home.glob("t/*/r/guard"))
        case "router":
            return list(home.glob("t/*/r/envoy"))
        case _:
            slug = slugs.new if whose.startswith("new") else slugs.old
            return [p for p in sorted(home.glob(f"t/*/i/{slug}*")) if not (p / instances.GONE).exists()]


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def found(home: Path, victim: Victim, slugs: Slugs, giving_up: Callable[[], bool] = lambda: False) -> int | None:
    """The same, waited for: who was killed a moment ago is just starting again."""
    end = time.monotonic() + FOUND_S
    while (pid := find(home, victim, slugs)) is None and time.monotonic() < end and not giving_up():
        time.sleep(0.005)
    return pid
