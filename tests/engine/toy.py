"""A toy release carried by real processes: a target in a file that refuses old epochs, and exact points of death.

`work` is what a process does; the test starts, kills, stops and continues it.
"""

import asyncio
import fcntl
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Finished, State
from soc_deploy_mcp.engine.context import Aborted, Activity, Attempt, Context, Effect, Lost, Watching
from soc_deploy_mcp.engine.lease import LeaseTimes
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.sqlite import Sqlite
from tests.engine.builders import Node, passage

STEPS = ("prepare", "ensure", "smoke", "shift5", "timer", "shift50", "approval", "shift100", "judge", "stable", "drain")
ACTS = tuple(s for s in STEPS if s not in ("timer", "approval", "judge"))
PHASES = ("before", "after", "recorded")


class Target:
    """One target in one directory: who may write (`epoch`), what was done (`log`)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def log(self, line: str) -> None:
        with (self.directory / "log").open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def lines(self) -> list[str]:
        path = self.directory / "log"
        return path.read_text().splitlines() if path.exists() else []

    def make(self, key: str, epoch: int) -> None:
        with (self.directory / "epoch").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            if epoch < int(file.read() or 0):
                self.log(f"FENCED {key}")
                raise DeployError("E_STALE_EPOCH", "a newer owner holds the target")
            file.truncate(0)
            file.write(str(epoch))
            file.flush()
            self.log(f"EXEC {key}")

    def point(self, here: str, delay_s: float = 0.0) -> None:
        """Die here, or stop, if this is the point that was drawn; once."""
        drawn = self.directory / "point"
        if not drawn.exists() or json.loads(drawn.read_text())["at"] != here:
            return
        what = json.loads(drawn.read_text())["how"]
        drawn.unlink()
        self.log(f"{what} {here}")
        number = signal.SIGKILL if what == "KILL" else signal.SIGSTOP
        threading.Timer(delay_s, os.kill, (os.getpid(), number)).start() if delay_s else os.kill(os.getpid(), number)


def build(run: Run) -> Any:
    target = Target(Path(run.args["directory"]))

    async def program(ctx: Context) -> None:
        begun: list[str] = []
        try:
            for key in STEPS:
                await _step(ctx, target, key, begun)
                target.point(f"{key}:recorded")
        except Lost:
            target.log("LOST")
            raise
        except (Aborted, DeployError) as error:
            target.log(f"BACK {type(error).__name__}")
            await ctx.way_back()
            for key in reversed(begun):
                await ctx.act(f"back/{key}", _effect(target, f"back/{key}"))
                target.point(f"back/{key}:recorded")
            await ctx.emit(Finished(state=State.ROLLED_BACK), "end")
        else:
            await ctx.emit(Finished(state=State.SUCCEEDED), "end")

    return program


async def _step(ctx: Context, target: Target, key: str, begun: list[str]) -> None:
    if key == "timer":
        target.point("timer:mid", 0.1)
        await ctx.sleep(key, 0.25)
    elif key == "approval":
        target.point("approval:mid", 0.1)
        await ctx.wait(key, ("approved",), 600)
    elif key == "judge":
        await ctx.watch(key, Activity("judge", lambda w: _judge(w, target)))
    else:
        begun.append(key)
        await ctx.act(key, _effect(target, key))


async def _judge(watching: Watching, target: Target) -> str:
    ticks = watching.checkpoint or 0
    while ticks < 4:
        ticks += 1
        await watching.save(ticks)
        target.log(f"TICK {ticks}")
        target.point(f"judge:{ticks}")
        await watching.pause(0.02)
    return "ACCEPT"


def _effect(target: Target, key: str) -> Effect:
    async def run(attempt: Attempt) -> str:
        target.point(f"{key}:before")
        fill = target.directory / "fill"
        if fill.exists() and fill.read_text() == key:
            fill.unlink()
            _fill_the_disk(target)
        target.make(key, attempt.epoch)
        target.point(f"{key}:after")
        return key

    return Effect(key, run, 60.0)


def _fill_the_disk(target: Target) -> None:
    """No file of this process may grow beyond what the journal's log has now; the test gives room again.

    That holds for a .pyc in the shared tree too: one that is cut off there would break whoever imports it next.
    """
    sys.dont_write_bytecode = True
    size = (target.directory.parent / "journal.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def room() -> None:
        while not (target.directory / "room").exists():
            threading.Event().wait(0.02)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    threading.Thread(target=room, daemon=True).start()


async def _work(path: Path, name: str, times: LeaseTimes) -> None:
    store = Sqlite(path)
    await store.open()
    node = Node(store, name, times=times)

    async def walk(ctx: Any) -> None:
        run = json.loads((path.parent / f"{ctx.run}.args").read_text())
        await ctx.pass_gate(passage(args=run))

    node.runner.register("walk/1", lambda _: walk, replays=False)
    node.runner.register("deploy/1", build)
    await node.runner.start()
    (path.parent / f"{name}.{os.getpid()}").touch()
    while True:
        await asyncio.sleep(0.2)
        if os.getppid() == 1:  # the test is gone: so are we
            return


def work(path: str, name: str, ttl: float, renew: float) -> None:
    asyncio.run(_work(Path(path), name, LeaseTimes(ttl=ttl, renew=renew)))
