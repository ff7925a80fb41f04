"""What a chat pays for the start of its MCP server: `soc-deploy serve` beside a bare server of mcp's own SDK.

    python -m bench.start [--runs 15]

Every chat of a client starts the server it is configured with, and keeps it. Three programs are started in turn, on the
same interpreter, and each is taken from its spawn over `initialize` to the answer to `tools/list`, then closed:

interpreter   `python -c pass`: what no Python program goes below. It has no answer: its end is taken.
client        `soc-deploy serve`, the standard-library process in front of a daemon that runs.
bare server   `bench._bare`: one tool, the SDK, nothing else.

CPU is of the process's whole life as the kernel accounts it (user and system), memory is taken when the answer is
there: RSS, and PSS, which shares what several processes map. The daemon is one for all chats of a user, so it stands
in rows of its own: what it works for one chat, and a first chat that has to start it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path

from bench import _bare
from bench._report import Goal, finish
from soc_deploy_mcp.interfaces.daemon.paths import Paths
from soc_deploy_mcp.tools.local import proc
from soc_deploy_mcp.tools.local.instances import read_status
from tests.support.home import state_home

PYTHON = (sys.executable, "-P")
INTERPRETER = (*PYTHON, "-c", "pass")
OURS = (*PYTHON, "-m", "soc_deploy_mcp")
BARE = (*PYTHON, _bare.__file__)
LISTED = 2  # id of the last request
CHAT = (
    {"id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"},
    }},
    {"method": "notifications/initialized"},
    {"id": LISTED, "method": "tools/list"},
)  # fmt: skip
MIB = 1024 * 1024

GOALS: dict[str, Goal] = {
    "client cpu / interpreter": ("<=", 4),
    "client cpu / bare server": ("<=", 0.05),
    "client RSS MiB": ("<=", 12),
    "first chat cpu / bare server": ("<=", 1.3),
    "daemon RSS / bare server": ("<=", 1.3),
}


@dataclass(frozen=True)
class Start:
    """One start: milliseconds of processor and of the clock, MiB of memory."""

    cpu_ms: float
    wall_ms: float
    rss_mib: float = 0.0
    pss_mib: float = 0.0


@dataclass(frozen=True)
class Runner:
    """Starts programs in an empty project, with a state home that is nobody's."""

    home: Path
    project: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.project), "SOC_DEPLOY_HOME": str(self.home)}

    def chat(self, command: Sequence[str]) -> Start:
        began = time.perf_counter()
        with self._popen(command) as process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(b"".join(_line(message) for message in CHAT))
            process.stdin.flush()
            while json.loads(process.stdout.readline()).get("id") != LISTED:
                pass
            wall_ms = (time.perf_counter() - began) * 1000
            memory = memory_of(process.pid)
            process.stdin.close()
            return Start(_cpu_ms_to_end(process), wall_ms, memory["Rss"], memory["Pss"])

    def run(self, command: Sequence[str]) -> Start:
        began = time.perf_counter()
        with self._popen(command) as process:
            cpu_ms = _cpu_ms_to_end(process)
            return Start(cpu_ms, (time.perf_counter() - began) * 1000)

    def daemon(self, *words: str) -> None:
        command = [*OURS, "daemon", *words]
        subprocess.run(command, cwd=self.project, env=self.environ, stdout=subprocess.DEVNULL, check=True)

    def daemon_pid(self) -> int:
        """As its supervisor noted it: asking the daemon would cost what is measured."""
        status = read_status(Path(Paths.of(str(self.home)).supervisor))
        assert status is not None
        assert status.pid is not None
        return status.pid

    def _popen(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.project, env=self.environ, stdin=pipe, stdout=pipe)


def _line(message: Mapping[str, object]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def _cpu_ms_to_end(process: subprocess.Popen[bytes]) -> float:
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.returncode
    return (used.ru_utime + used.ru_stime) * 1000


def memory_of(pid: int) -> dict[str, float]:
    """MiB by the names of /proc/PID/smaps_rollup (proc(5)): Rss, Pss."""
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {row[0].rstrip(":"): int(row[1]) * 1024 / MIB for row in rows}


def worked_ms(pid: int) -> float:
    """Milliseconds of processor that a process has used, in steps of the kernel's tick (10 ms)."""
    seen = proc.stat(pid)
    assert seen is not None
    return seen.ticks * 1000 / proc.TICKS_PER_S


def median(starts: Sequence[Start]) -> Start:
    """Of each figure by itself."""
    return Start(*(statistics.median(getattr(start, each.name) for start in starts) for each in fields(Start)))


def beside(runner: Runner, runs: int) -> dict[str, float]:
    """Chats to a running daemon, in turn with the other two."""
    runner.daemon("start")
    daemon = runner.daemon_pid()
    runner.chat((*OURS, "serve"))  # compiles what was never imported; counted is what every later chat pays
    before = worked_ms(daemon)
    found: dict[str, list[Start]] = {"interpreter": [], "client": [], "bare server": []}
    for _ in range(runs):
        found["interpreter"].append(runner.run(INTERPRETER))
        found["client"].append(runner.chat((*OURS, "serve")))
        found["bare server"].append(runner.chat(BARE))
    a_chat_ms = (worked_ms(daemon) - before) / runs
    runner.daemon("stop", "--force")
    figures: dict[str, float] = {}
    for name, start in ((name, median(starts)) for name, starts in found.items()):
        figures |= {f"{name} cpu ms": start.cpu_ms, f"{name} wall ms": start.wall_ms}
        if start.rss_mib:
            figures |= {f"{name} RSS MiB": start.rss_mib, f"{name} PSS MiB": start.pss_mib}
    return figures | {"daemon cpu ms a chat": a_chat_ms}


def first(runner: Runner, runs: int) -> dict[str, float]:
    """Chats that find no daemon: theirs is the client's work and the daemon's start."""
    cpu, wall, memory = [], [], []
    for _ in range(runs):
        chat = runner.chat((*OURS, "serve"))
        daemon = runner.daemon_pid()
        cpu.append(chat.cpu_ms + worked_ms(daemon))
        wall.append(chat.wall_ms)
        memory.append(memory_of(daemon)["Rss"])
        runner.daemon("stop", "--force")
    return {
        "first chat cpu ms": statistics.median(cpu),
        "first chat wall ms": statistics.median(wall),
        "daemon RSS MiB": statistics.median(memory),
    }


def ratios(found: Mapping[str, float]) -> dict[str, float]:
    pairs = (
        *(("client cpu", "interpreter"), ("client cpu", "bare server"), ("client wall", "bare server")),
        *(("client RSS", "bare server"), ("client PSS", "bare server")),
        *(("first chat cpu", "bare server"), ("first chat wall", "bare server"), ("daemon RSS", "bare server")),
    )
    units = {"cpu": "ms", "wall": "ms", "RSS": "MiB", "PSS": "MiB"}
    made = {}
    for mine, other in pairs:
        what = mine.rpartition(" ")[2]
        made[f"{mine} / {other}"] = found[f"{mine} {units[what]}"] / found[f"{other} {what} {units[what]}"]
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="of each (15)")
    runs, before = parser.parse_args().runs, os.getloadavg()[0]
    with state_home() as home, tempfile.TemporaryDirectory() as project:
        runner = Runner(home, Path(project))
        figures = beside(runner, runs) | first(runner, runs)
    conditions = {
        "runs": f"median of {runs}, in turn",
        "span": "spawn to the answer to tools/list, over stdio; CPU to the process's end",
        "mcp": version("mcp"),
        "machine's load": [round(before, 1), round(os.getloadavg()[0], 1)],
    }
    return finish("start", figures | ratios(figures), GOALS, conditions)


if __name__ == "__main__":
    sys.exit(main())
