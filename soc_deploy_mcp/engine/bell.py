"""Tells whoever waits for a run that its journal grew, and the execution of a run what was said to it.

News carry nothing: a listener looks again for itself. Spoken signals are in the store already; this is the wake-up.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from soc_deploy_mcp.core.ids import RunId
from soc_deploy_mcp.engine.context import Taken

Hear = Callable[[Taken], None]


class Bell:
    def __init__(self) -> None:
        self._listening: defaultdict[RunId, set[asyncio.Event]] = defaultdict(set)
        self._hearing: defaultdict[RunId, list[Hear]] = defaultdict(list)

    def ring(self, run: RunId) -> None:
        for event in self._listening.get(run, ()):
            event.set()

    def ring_all(self) -> None:
        for run in tuple(self._listening):
            self.ring(run)

    def say(self, run: RunId, signal: Taken) -> None:
        for hear in tuple(self._hearing.get(run, ())):
            hear(signal)

    @contextmanager
    def listen(self, run: RunId) -> Iterator[asyncio.Event]:
        """Clear, look, wait: in this order, or news between looking and waiting is missed."""
        event = asyncio.Event()
        self._listening[run].add(event)
        try:
            yield event
        finally:
            self._listening[run].discard(event)
            if not self._listening[run]:
                del self._listening[run]

    @contextmanager
    def attend(self, run: RunId, hear: Hear) -> Iterator[None]:
        self._hearing[run].append(hear)
        try:
            yield
        finally:
            self._hearing[run].remove(hear)
            if not self._hearing[run]:
                del self._hearing[run]
