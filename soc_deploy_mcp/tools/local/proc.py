"""Facts about processes from `/proc` (Linux): alive or not, which session, which sockets, how much memory.

A signal 0 proves nothing: a process that nobody reaped still takes it. Identity is pid and start time, within one boot.
"""

import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Stat:
    """One line of /proc/PID/stat (proc(5)): fields 1, 3, 6, 14 + 15, 22."""

    pid: int
    state: str  # Z: ended, not reaped
    session: int
    ticks: int  # user + system time
    start: int  # ticks since boot


@dataclass(frozen=True, slots=True)
class PortOwner:
    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})"


def parse_stat(text: str) -> Stat:
    """The command's name may hold blanks and brackets: fields are counted from the last `)`."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Stat(
        pid=int(head.split("(", 1)[0]),
        state=fields[0],
        session=int(fields[3]),
        ticks=int(fields[11]) + int(fields[12]),
        start=int(fields[19]),
    )


def stat(pid: int) -> Stat | None:
    try:
        return parse_stat((PROC / str(pid) / "stat").read_text())
    except (OSError, ValueError, IndexError):
        return None


@cache
def boot_id() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def same_process(pid: int | None, start: int | None, boot: str | None, seen: Stat | None, now_boot: str) -> bool:
    """Is what /proc shows the process that was recorded, and does it live?"""
    return (
        seen is not None
        and boot == now_boot
        and (seen.pid, seen.start) == (pid, start)
        and seen.state not in ("Z", "X")
    )


def uptime_of(start: int) -> float:
    """Seconds since a process started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start / TICKS_PER_S


def sessions(leaders: Collection[int]) -> dict[int, list[Stat]]:
    """The living processes of each session. A session outlives its leader."""
    found: dict[int, list[Stat]] = {leader: [] for leader in leaders}
    for entry in os.listdir(PROC):
        if entry.isdigit() and (seen := stat(int(entry))) and seen.session in found and seen.state != "Z":
            found[seen.session].append(seen)
    return found


def pss_bytes(pid: int) -> int | None:
    """Proportional set size: pages shared by forked workers are counted once. None: gone, or not ours."""
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


# --- sockets


def parse_listening(table: str, port: int) -> set[str]:
    """Inodes of the sockets that listen on a port: one table of /proc/net/tcp or tcp6."""
    wanted = f":{port:04X}"
    rows = (line.split() for line in table.splitlines()[1:])
    return {row[9] for row in rows if len(row) > 9 and row[3] == _LISTEN and row[1].endswith(wanted)}


def listening(port: int) -> set[str]:
    found: set[str] = set()
    for name in ("tcp", "tcp6"):
        try:
            found |= parse_listening((PROC / "net" / name).read_text(), port)
        except OSError:
            continue
    return found


def sockets(pid: int) -> set[str]:
    """Inodes of the sockets a process has open."""
    found: set[str] = set()
    try:
        entries = os.listdir(PROC / str(pid) / "fd")
    except OSError:
        return found
    for entry in entries:
        try:
            link = os.readlink(PROC / str(pid) / "fd" / entry)
        except OSError:
            continue
        if link.startswith("socket:["):
            found.add(link[8:-1])
    return found


def owned_by(inodes: set[str], pids: Iterable[int]) -> bool:
    """Does one of these processes hold one of these sockets?"""
    return any(inodes & sockets(pid) for pid in pids)


def owner(port: int, besides: Collection[int] = ()) -> PortOwner | None:
    """Who listens on a port, the sessions in `besides` left out. A process of another user is found without a name."""
    inodes = listening(port)
    if not inodes:
        return None
    ours: set[str] = set()
    for entry in os.listdir(PROC):
        if not entry.isdigit():
            continue
        pid = int(entry)
        held = inodes & sockets(pid)
        if not held:
            continue
        seen = stat(pid)
        if seen is None or seen.session not in besides:
            return PortOwner(pid, command(pid))
        ours |= held
    return PortOwner(0, "a process of another user") if inodes - ours else None


def command(pid: int) -> str:
    """Argument list as people know it, at most 80 characters."""
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return "?"
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()[:300] or "?"
