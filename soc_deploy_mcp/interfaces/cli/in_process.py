"""The application in this very process, for CI and for debugging. Killed, the run goes on at the next start of a
daemon or a command on this state home."""

from __future__ import annotations

import asyncio
import importlib
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.request import Caller
from soc_deploy_mcp.interfaces.daemon.hello import hello_of
from soc_deploy_mcp.interfaces.daemon.methods import methods, plain
from soc_deploy_mcp.interfaces.daemon.owner import Owner, own
from soc_deploy_mcp.interfaces.daemon.paths import Paths, home_of
from soc_deploy_mcp.interfaces.doors import App


class InProcess:
    """A loop in a thread carries the application; calls cross over and wait."""

    def __init__(self, owner: Owner, home: str) -> None:
        self._owner = owner
        project = hello_of("cli", os.environ).project
        self._caller = Caller(kind="in-process", subject=f"uid:{os.getuid()}", client="cli", project=project)
        self._methods = methods()
        self._loop = asyncio.new_event_loop()
        self._ready: queue.Queue[App | BaseException] = queue.Queue()
        self._leave = asyncio.Event()
        self._thread = threading.Thread(target=self._live, args=(home,), name="application", daemon=True)
        self._thread.start()
        built = self._ready.get()
        if isinstance(built, BaseException):
            owner.release()
            raise built
        self._app = built

    @classmethod
    def open(cls) -> InProcess:
        """E_DAEMON when a daemon serves this home: then there is no need for another process."""
        paths = Paths.of(home_of(os.environ))
        return cls(own(paths), paths.home)

    def call(self, method: str, **params: Any) -> Any:
        known = self._methods[method]
        arguments = known.read(params) | ({"caller": self._caller} if known.caller else {})
        return self._wait(self._answer(getattr(self._app, method), arguments))

    async def _answer(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        value = function(**arguments)
        return plain(await value if asyncio.iscoroutine(value) else value)

    def follow(self, run: str, after: int = 0, *, tick: float | None = None) -> Iterator[dict[str, Any] | None]:
        news: queue.Queue[dict[str, Any] | BaseException | None] = queue.Queue()
        task = asyncio.run_coroutine_threadsafe(self._stream(run, after, news), self._loop)
        try:
            while True:
                try:
                    item = news.get(timeout=tick)
                except queue.Empty:
                    yield None
                    continue
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            task.cancel()

    async def _stream(self, run: str, after: int, news: queue.Queue[Any]) -> None:
        try:
            async for event in self._app.follow(run, self._caller, after):
                news.put(event.to_json())
        except Exception as error:
            news.put(error)
        news.put(None)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(timeout=15)
        self._owner.release()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _live(self, home: str) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._life(home))

    async def _life(self, home: str) -> None:
        root = importlib.import_module("soc_deploy_mcp.app")  # the composition root builds us, not the other way round
        try:
            async with root.build(Path(home), os.environ) as app:
                self._ready.put(app)
                await self._leave.wait()
        except BaseException as error:
            self._ready.put(error)
