"""Instances: one directory each, with what was ordered (`spec.json`), what is (`status.json`) and the output.

The directory is the reservation of its port. A directory without a supervisor is a half-made start.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.ids import Epoch, Slug
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.tools.local import launch, ports, proc
from soc_deploy_mcp.tools.local.layout import Place, write_atomic

GONE = ports.GONE
TAIL_BYTES = 4096
LAST_TOLD = 3  # instances of a release that is stopped
TAKEN_S = 5.0  # in which a supervisor takes the directory it was started for
_POLL_S = 0.02
_SLACK_S = 5.0  # for a supervisor to notice and to write, beyond the grace time


@dataclass(frozen=True, slots=True)
class Status:
    """What the supervisor wrote last."""

    state: str  # starting running exited failed
    pid: int | None
    start: int | None
    shim: int | None
    shim_start: int | None
    boot_id: str
    code: int | None
    stopped: bool  # by us
    restarts: int  # ends that nobody asked for
    reason: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance as its files and /proc show it."""

    name: str
    directory: Path
    release: Slug
    version: str
    port: int
    ordered_at: float
    grace_s: float
    cpus: float | None  # base of the CPU ratio
    memory_mb: int | None  # base of the memory ratio
    status: Status | None  # None: its supervisor has not written yet
    alive: bool  # the application
    supervised: bool  # the supervisor lives, or is just starting

    @property
    def leader(self) -> int | None:
        """The session of the application and its workers."""
        return self.status.pid if self.status and self.alive else None

    @property
    def lasting(self) -> bool:
        """It lives, or its supervisor will start it again."""
        return self.alive or (self.supervised and not self.over)

    @property
    def over(self) -> bool:
        """It will not be started again."""
        if self.status is None:
            return not self.supervised
        return not self.alive and (self.status.state == "failed" or self.status.stopped or not self.supervised)

    @property
    def crashes(self) -> int:
        """Ends that nobody asked for, also one that no supervisor lived to count."""
        if self.status is None:
            return 0
        unseen = self.status.state == "running" and not self.alive and not self.status.stopped
        return self.status.restarts + unseen


def parse_status(text: str) -> Status | None:
    """None when it is no status: it is renamed into place, so that is a file of somebody else."""
    try:
        data = json.loads(text)
        return Status(
            state=str(data["state"]),
            pid=data["pid"],
            start=data["start"],
            shim=data["shim"],
            shim_start=data["shim_start"],
            boot_id=str(data["boot_id"]),
            code=data["code"],
            stopped=bool(data["stopped"]),
            restarts=int(data["restarts"]),
            reason=str(data["reason"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def read_status(directory: Path) -> Status | None:
    try:
        return parse_status((directory / "status.json").read_text())
    except OSError:
        return None


def lives(status: Status | None) -> bool:
    """Does the supervised process live?"""
    return status is not None and _same(status.pid, status.start, status)


def shim_lives(status: Status | None) -> bool:
    return status is not None and _same(status.shim, status.shim_start, status)


def _same(pid: int | None, start: int | None, status: Status) -> bool:
    seen = proc.stat(pid) if pid else None
    return proc.same_process(pid, start, status.boot_id, seen, proc.boot_id())


def locked(directory: Path) -> bool:
    """Does a supervisor hold this directory? Asked only where it has not written a status yet."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


# --- seeing


def scan(place: Place, slug: Slug | None = None, *, buried: bool = False) -> list[Instance]:
    """Every instance directory of a target, ordered by name; those of one release where it is named; `buried`: those
    that are out of sight instead."""
    try:
        names = sorted(os.listdir(place.instances))
    except OSError:
        return []
    wanted = [n for n in names if not n.startswith(".") and (slug is None or n.rpartition("-")[0] == slug)]
    return [seen for name in wanted if (seen := read(place.instances / name, buried=buried)) is not None]


def told(place: Place) -> list[Instance]:
    """Whose output somebody may want to read: every instance, and those of a newer release that is gone again."""
    alive = scan(place)
    since = max((i.ordered_at for i in alive), default=0.0)
    buried = [i for i in scan(place, buried=True) if i.ordered_at > since]
    last = max(buried, key=lambda i: i.ordered_at).release if buried else None
    return [*alive, *(i for i in buried if i.release == last)]


def last_told(place: Place, slug: Slug) -> list[Instance]:
    """Whose output tells of a release: its instances, or, when they are stopped, those that wrote last."""
    if alive := scan(place, slug):
        return alive
    return sorted(scan(place, slug, buried=True), key=lambda i: _written(i.directory))[-LAST_TOLD:]


def _written(directory: Path) -> float:
    try:
        return (directory / "out.log").stat().st_mtime
    except OSError:
        return 0.0


def read(directory: Path, *, buried: bool = False) -> Instance | None:
    """None where there is no order in it, or it was buried (`buried`: or it was not)."""
    if (directory / GONE).exists() is not buried:
        return None
    try:
        spec: dict[str, Any] = json.loads((directory / "spec.json").read_text())
    except (OSError, ValueError):
        return None
    status = read_status(directory)
    return Instance(
        name=directory.name,
        directory=directory,
        release=Slug(spec["release"]),
        version=spec["version"],
        port=spec["port"],
        ordered_at=spec["ordered_at"],
        grace_s=spec["grace_s"],
        cpus=spec["cpus"],
        memory_mb=spec["memory_mb"],
        status=status,
        alive=lives(status),
        supervised=shim_lives(status) if status else locked(directory),
    )


# --- starting


def arguments(release: Release, port: int, place: Place) -> list[str]:
    """`run` with its placeholders filled in; a relative program with a slash lies in the release."""
    values = {
        "port": str(port),
        "version": release.version,
        "release": release.slug,
        "shared": str(place.shared),
    }
    words = list(release.spec.run)
    for name, value in values.items():
        words = [word.replace(f"{{{name}}}", value) for word in words]
    if "/" in words[0] and not words[0].startswith("/"):
        words[0] = str(place.release(release.slug) / words[0])
    return words


def environment(release: Release, port: int, secrets: Mapping[str, str]) -> dict[str, str]:
    """What the application sees: built, not inherited."""
    fixed = {"PORT": str(port), "VERSION": release.version}
    return launch.base_environment() | fixed | release.spec.env | dict(secrets)


def order(place: Place, release: Release, epoch: Epoch) -> Instance:
    """Reserve a port and write down what to start. Raises E_NO_PORT."""
    spec = release.spec
    with ports.reserving(place.home):
        buried = {int(name.rpartition("-")[2]) for name in os.listdir(place.instances) if name.startswith(release.slug)}
        port = ports.free(place.home, besides=buried)
        directory = place.instances / f"{release.slug}-{port}"
        directory.mkdir(mode=0o700)
        document = {
            "argv": arguments(release, port, place),
            "cwd": str(place.release(release.slug)),
            "port": port,
            "release": release.slug,
            "version": release.version,
            "grace_s": spec.grace_s,
            "restart": spec.restart,
            "max_restarts": spec.max_restarts,
            "nofile": spec.resources.nofile,
            "log_mb": spec.log_mb,
            "cpus": spec.resources.cpus,
            "memory_mb": spec.resources.memory_mb,
            "ordered_at": time.time(),
            "fence": {"path": str(place.guard_record), "epoch": epoch},
        }
        write_atomic(directory / "spec.json", json.dumps(document))
    seen = read(directory)
    assert seen is not None
    return seen


async def start(place: Place, instance: Instance, release: Release, secrets: Mapping[str, str]) -> None:
    """Start its supervisor. A living application whose supervisor died is adopted, not started twice."""
    await launch.supervised(place.home, instance.directory, environment(release, instance.port, secrets))


# --- stopping


async def stop(instance: Instance) -> None:
    """SIGTERM, `grace_s`, SIGKILL, for the application and all its workers. Returns when none of them lives.

    The supervisor does it and goes on if we die; where it is dead already, we do it.
    """
    leader = instance.status.pid if instance.status else None
    if not await _stop_supervisor(instance) and instance.alive and leader:
        await _stop_group(leader, instance)
    if leader:
        await _end_session(leader)


async def _stop_supervisor(instance: Instance) -> bool:
    status = instance.status
    if status is None:
        status = await _first_status(instance.directory)
    if status is None or not shim_lives(status) or status.shim is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(status.shim, signal.SIGTERM)
    return await _until(lambda: not shim_lives(status), instance.grace_s + _SLACK_S)


async def _first_status(directory: Path) -> Status | None:
    """A supervisor that is just starting writes in a moment."""
    await _until(lambda: read_status(directory) is not None or not locked(directory), _SLACK_S)
    return read_status(directory)


async def _stop_group(leader: int, instance: Instance) -> None:
    _signal_group(leader, signal.SIGTERM)
    if not await _until(lambda: not lives(instance.status), instance.grace_s):
        _signal_group(leader, signal.SIGKILL)
        await _until(lambda: not lives(instance.status), _SLACK_S)


async def _end_session(leader: int) -> None:
    """Workers that were left over, also in a process group of their own."""
    for seen in proc.sessions([leader])[leader]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(seen.pid, signal.SIGKILL)
    await _until(lambda: not proc.sessions([leader])[leader], _SLACK_S)


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


async def _until(true: Any, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not true():
        if loop.time() >= end:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def bury(instance: Instance) -> None:
    """Out of sight: its port is free again. The directory and the log stay until the release is pruned."""
    with contextlib.suppress(FileNotFoundError):
        (instance.directory / GONE).touch(mode=0o600)


# --- its output


def tail(directory: Path, lines: int = 20, secrets: Iterable[str] = ()) -> str:
    """The end of an instance's output, 4 KiB at most, untrusted; known secrets are taken out."""
    try:
        with (directory / "out.log").open("rb") as file:
            file.seek(0, os.SEEK_END)
            begin = max(0, file.tell() - TAIL_BYTES)
            file.seek(begin)
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    if begin:  # the rest of a line: half a secret could not be known for one
        text = text.partition("\n")[2]
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return "\n".join(text.splitlines()[-lines:])
