"""Starting, killing and stopping the toy's processes, each by its own handle."""

import asyncio
import json
import multiprocessing
import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.core.ids import RunId
from soc_deploy_mcp.engine.history import History
from tests.engine import toy
from tests.engine.builders import Node, opened, opening, until

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.engine.toy"])


class Room:
    """A directory with a journal, the processes on it, and the test's own view of it."""

    def __init__(self, home: Path, node: Node, ttl: float, renew: float) -> None:
        self.home, self.node, self.ttl, self.renew = home, node, ttl, renew
        self.history = History(node.journal.store)
        self.processes: dict[str, Any] = {}

    def start(self, name: str = "local") -> Any:
        process = _context.Process(target=toy.work, args=(str(self.home / "journal.db"), name, self.ttl, self.renew))
        process.start()
        self.processes[name] = process
        return process

    async def begin(
        self, point: str | None = None, how: str = "KILL", fill: str | None = None
    ) -> tuple[RunId, toy.Target]:
        directory = self.home / secrets.token_hex(6)
        directory.mkdir()
        if point is not None:
            (directory / "point").write_text(json.dumps({"at": point, "how": how}))
        if fill is not None:
            (directory / "fill").write_text(fill)
        args = {"directory": str(directory)}
        wanted = opening(service=directory.name)
        (self.home / f"{wanted.id}.args").write_text(json.dumps(args))
        run, _ = await self.node.runner.submit(wanted)
        return run.id, toy.Target(directory)

    async def over(self, run: RunId, name: str = "local", timeout: float = 40.0) -> State:
        """Start the process again whenever it died, as an init system would, until the run is over."""

        async def done() -> bool:
            if not self.processes[name].is_alive():
                self.processes[name].join()
                self.start(name)
            return (await self.history.get(run)).over

        await until(done, timeout)
        return (await self.history.get(run)).state

    async def waits_at(self, run: RunId, key: str) -> None:
        async def there() -> bool:
            return ("intent", key) in await self.node.kinds(run, "intent")

        await until(there, 40.0)


@asynccontextmanager
async def room(home: Path, ttl: float = 3.0, renew: float = 0.1) -> AsyncIterator[Room]:
    async with opened(home / "journal.db") as store:
        node = Node(store, "test")
        node.runner.register("deploy/1", toy.build)
        it = Room(home, node, ttl, renew)
        try:
            yield it
        finally:
            for process in it.processes.values():
                if process.is_alive():
                    os.kill(process.pid, signal.SIGKILL)
                process.join()
            await asyncio.sleep(0)
