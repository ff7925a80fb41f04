"""Metrics of one machine: a scraper over readers that the platform gives, a store in memory, PromQL over it."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from soc_deploy_mcp.core.metrics import ScrapeHealth, SourceDown, Vector
from soc_deploy_mcp.tools.metrics.exposition import BadPage, parse
from soc_deploy_mcp.tools.metrics.promql import Engine
from soc_deploy_mcp.tools.metrics.store import ScrapeRefused, Store

READ_TIMEOUT_S = 2.0
IDLE_S = 5.0  # between two scrapes while no rollout runs
_TRIM_EVERY_S = 60.0
_CLOCK_JUMP_S = 60.0
_SILENT_S = 10.0


class Reader(Protocol):
    """One scraped thing, as the platform gives it."""

    @property
    def name(self) -> str:
        """Becomes the label `instance`; unique, and the same as long as the counters are."""
        ...

    @property
    def read(self) -> Callable[[], Awaitable[bytes]]:
        """Gives a whole page of exposition text, or raises; `# nothing yet` is a page too."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """Attached to every series."""
        ...

    @property
    def after_others(self) -> bool:
        """Read when the other pages of the round are in, so that what it counts is never behind them (our probes)."""
        ...


class LocalSource:
    """A MetricsSource. `readers` gives the current list: what is not in it any more gives no sample, not zero."""

    def __init__(
        self, readers: Callable[[], Sequence[Reader]], interval: float = IDLE_S, *, now: Callable[[], float] = time.time
    ) -> None:
        self._readers, self._interval, self._now = readers, interval, now
        self._store = Store()
        self._engine = Engine(self._store)
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        self._last_round: float | None = None
        self._last_trim = 0.0

    @property
    def interval(self) -> float:
        """Seconds between two scrapes: 0.5 to 1 while a rollout runs, 5 else."""
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._interval = seconds
        self._woken.set()

    async def start(self) -> None:
        """Scrape once, then go on in the background. Starting twice is starting once."""
        if self._task is None:
            self._task = asyncio.create_task(self._scrape_forever())
            await self.scrape_now()

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def scrape_now(self) -> None:
        """One round over all readers. Never raises: a failed scrape is in `health`."""
        async with self._turn:
            self._begin_round()
            readers = self._current()
            for late in (False, True):
                await asyncio.gather(*(self._scrape(r) for r in readers if r.after_others is late))
            self._last_round = self._now()

    async def query(self, promql: str, at: float) -> Vector:
        """Raises SourceDown, BadQuery, Unsupported."""
        self._alive(at)
        return self._engine.query(promql, _ms(at))

    async def raw(self, selector: str, at: float) -> Vector:
        self._alive(at)
        return self._engine.select(selector, _ms(at))

    async def health(self) -> tuple[ScrapeHealth, ...]:
        return self._store.health()

    async def _scrape_forever(self) -> None:
        while True:
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._interval)
            await self.scrape_now()

    async def _scrape(self, reader: Reader) -> None:
        at = _ms(self._now())
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                text = await reader.read()
            self._store.add(reader.name, at, parse(text).samples, reader.labels)
        except ScrapeRefused:
            return  # the store has recorded it
        except TimeoutError:
            self._store.failed(reader.name, at, f"no answer in {READ_TIMEOUT_S:g} s", reader.labels)
        except BadPage as error:
            self._store.failed(reader.name, at, str(error), reader.labels)
        except Exception as error:  # a reader may fail in any way; the scraper must outlive it
            self._store.failed(reader.name, at, f"{type(error).__name__}: {error}", reader.labels)

    def _current(self) -> Sequence[Reader]:
        """The readers of this round. A name that is there twice is read by nobody: its counters would be mixed."""
        now = _ms(self._now())
        try:
            readers = list(self._readers())
        except Exception as error:  # the platform cannot say what there is: everything is unknown
            self._store.failed_all(now, f"{type(error).__name__}: {error}")
            return []
        self._store.keep_only([reader.name for reader in readers], now)
        names = Counter(reader.name for reader in readers)
        for reader in readers:
            if names[reader.name] > 1:
                self._store.failed(reader.name, now, "two readers have this name", reader.labels)
        return [reader for reader in readers if names[reader.name] == 1]

    def _begin_round(self) -> None:
        now = self._now()
        if self._last_round is not None and now < self._last_round - _CLOCK_JUMP_S:
            self._store.clear()  # else nothing would be taken until the clock is where it was
        if now - self._last_trim > _TRIM_EVERY_S:
            self._store.trim(_ms(now))
            self._last_trim = now

    def _alive(self, at: float) -> None:
        """A scraper that ended must not answer with what it saw last."""
        if self._last_round is None:
            raise SourceDown("nothing was scraped yet")
        silent = at - self._last_round
        if silent > max(3 * self._interval, _SILENT_S):
            raise SourceDown(f"nothing was scraped for {silent:.0f} s")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
