"""What runs below a folder: found by looking at every process, so that nobody can forget to report one."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


def running_below(home: Path) -> dict[int, str]:
    """Command line of every living process, by pid, that names `home` in its arguments, environment or folder.

    Not this process and not its ancestors, which may have heard of the home too. Linux only (/proc).
    """
    kin = _ancestors(os.getpid())
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) not in kin and _names(entry, os.fsencode(home)):
            found[int(entry.name)] = _read(entry / "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def assert_nothing_left(home: Path, within_s: float = 15) -> None:
    """Waits until nothing runs below `home`. What is left then is killed, and named in the failure."""
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not running_below(home), within_s)
    left = kill_below(home)
    assert not left, f"still running below {home}: {left}"


def kill_below(home: Path) -> dict[int, str]:
    """Kill whatever runs below `home`, and what that starts meanwhile. Returns what it was."""
    killed: dict[int, str] = {}
    while found := running_below(home):
        killed |= found
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return killed


def wait_for(done: Callable[[], object], within_s: float = 30, every_s: float = 0.05) -> None:
    """Polls until `done()` is true. Fails after `within_s`: generous, since the machine may be busy."""
    end = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < end, f"not so after {within_s} s: {done.__qualname__}"
        time.sleep(every_s)


def _names(entry: Path, home: bytes) -> bool:
    if home in _read(entry / "cmdline") or home in _read(entry / "environ"):
        return True
    try:
        folder = os.fsencode(os.readlink(entry / "cwd"))
    except OSError:
        return False  # gone, a zombie (it has no arguments and no folder), or not ours
    return folder == home or folder.startswith(home + b"/")


def _ancestors(pid: int) -> set[int]:
    found = set()
    while pid and pid not in found:
        found.add(pid)
        fields = _read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()
        pid = int(fields[1]) if len(fields) > 1 else 0
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
