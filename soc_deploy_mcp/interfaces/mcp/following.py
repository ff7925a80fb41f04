"""A request watches a run; it never carries one. The answer comes within the budget whatever the run does."""

import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from soc_deploy_mcp.core.request import Caller
from soc_deploy_mcp.interfaces.doors import App, Progress, RunView

BUDGET_S = 45.0  # clients give up after 60
BEAT_S = 4.5  # progress comes at least every 5 s: it resets the timer of clients that look at it
_STEP = 0.001
_PAUSE_S = 0.2  # between two words about a run, and before a stream that ended too early is asked for again

Say = Callable[[float, float | None, str], Awaitable[None]]


class Beats:
    """Numbers for progress that only ever rise, whatever the run counts: clients drop others."""

    def __init__(self) -> None:
        self._last = -_STEP

    def next(self, done: int, total: int) -> tuple[float, float | None]:
        """(progress, total): total is left out while it is unknown or behind."""
        self._last = max(float(done), self._last + _STEP)
        return self._last, float(total) if total >= max(self._last, 1) else None


class _Voice:
    """Tells the client where the run is, and repeats it before the client's patience ends."""

    def __init__(self, beats: Beats, say: Say, view: RunView) -> None:
        self._beats, self._say = beats, say
        self._done, self._total, self._text = view.done, view.total, view.step or view.state.value.lower()
        self._due = 0.0

    def quiet(self) -> float:
        """Seconds in which nothing new should be said."""
        return max(0.0, self._due - BEAT_S + _PAUSE_S - anyio.current_time())

    def left(self) -> float:
        """Seconds until something must be said."""
        return max(0.0, self._due - anyio.current_time())

    async def tell(self, event: Progress | None = None) -> None:
        if event is not None:
            self._done, self._total, self._text = event.done, event.total, event.text or self._text
        self._due = anyio.current_time() + BEAT_S
        await self._say(*self._beats.next(self._done, self._total), self._text)


def is_open(view: RunView) -> bool:
    """There is something to wait for that no person must do first."""
    return not view.state.terminal and view.waiting is None


async def follow(
    app: App, view: RunView, caller: Caller, beats: Beats, say: Say, seconds: float, *, until_change: bool = False
) -> RunView:
    """The run when it is over, waits for a person, or `seconds` are up (or, if wanted, when it moved on at all)."""
    first, after, voice = view, 0, _Voice(beats, say, view)
    with anyio.move_on_after(seconds):
        await voice.tell()
        while is_open(view) and not (until_change and _moved(first, view)):
            async with _events(app, view.id, caller, after) as events:
                seen = await _watch(events, after, voice, until_change)
            if isinstance(seen, Exception):  # raised here: inside, the task group would wrap it
                raise seen
            after, view = seen, await app.view(view.id, caller)
            await anyio.sleep(_PAUSE_S if is_open(view) else 0)
    return await app.view(view.id, caller)


async def _watch(
    events: MemoryObjectReceiveStream[Progress | Exception], after: int, voice: _Voice, until_change: bool
) -> int | Exception:
    """Say what happens until it stops or the stream ends; returns the last row seen, or why the stream failed."""
    while True:
        event: Progress | Exception | None = None
        try:
            with anyio.move_on_after(voice.left()):
                event = await _latest(events, voice.quiet())
        except anyio.EndOfStream:
            if voice.left() == 0:
                await voice.tell()
            return after
        if isinstance(event, Exception):
            return event
        await voice.tell(event)
        if event is not None:
            after = event.seq
            if event.stops or until_change:
                return after


async def _latest(events: MemoryObjectReceiveStream[Progress | Exception], quiet: float) -> Progress | Exception:
    """The newest of those that come within `quiet` seconds of the first: neither history nor a flood is told row by
    row. What ends the watching is not held back."""
    event = await events.receive()
    with anyio.move_on_after(quiet), contextlib.suppress(anyio.EndOfStream):
        while not _ends(event):
            event = await events.receive()
    with contextlib.suppress(anyio.WouldBlock, anyio.EndOfStream):
        while not _ends(event):
            event = events.receive_nowait()
    return event


def _ends(event: Progress | Exception) -> bool:
    return isinstance(event, Exception) or event.stops


@asynccontextmanager
async def _events(
    app: App, run: str, caller: Caller, after: int
) -> AsyncIterator[MemoryObjectReceiveStream[Progress | Exception]]:
    """The app's stream, read by a task of its own: a wait with a time limit must not break it."""
    send, receive = anyio.create_memory_object_stream[Progress | Exception](math.inf)

    async def read() -> None:
        async with send:
            try:
                async for event in app.follow(run, caller, after):
                    await send.send(event)
            except Exception as error:
                await send.send(error)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        async with receive:
            yield receive
        group.cancel_scope.cancel()


def _moved(before: RunView, now: RunView) -> bool:
    return (before.state, before.step, before.done, before.reason) != (now.state, now.step, now.done, now.reason)
