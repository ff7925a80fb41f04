"""What a rollout sees of its two releases, whoever counts: the shapes between metrics, platform and judge."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from soc_deploy_mcp.actions.deploy.judge import Measured, Tick
from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.platform import Observation


@dataclass(frozen=True, slots=True)
class Figures:
    """What people read of one release over a window. None: no data, which is never fine."""

    p95_ms: float | None = None
    error_rate: float | None = None
    requests: int = 0
    probes: int = 0  # of the requests, how many were our own
    cpu: float | None = None  # share of the cores it may use
    memory: float | None = None  # share of its limit


@dataclass(frozen=True, slots=True)
class Look:
    """One tick: what the judge is told, and what was observed for the rest."""

    tick: Tick
    seen: Observation | None  # None: the platform did not answer


class Eyes(Protocol):
    """Counts both releases of one run. `state()` goes into checkpoints, so that a restart counts on from there."""

    async def measure(self) -> Measured:
        """The old release before the first weight: rates, bounds, bursts. Takes a few seconds."""
        ...

    async def probe_baseline(self, measured: Measured) -> Measured:
        """The same with our own probes on the old release, where users' requests are too few."""
        ...

    async def open(self, measured: Measured, *, synthetic: bool, state: Any | None) -> None:
        """Begin to count from here, or from a kept state; start the probes if they are wanted."""
        ...

    async def look(self) -> Look:
        """The counts since the last look."""
        ...

    def state(self) -> Any:
        """Plain JSON."""
        ...

    async def close(self) -> None:
        """Stop the probes. Safe to call twice."""
        ...

    async def figures(self, release: Slug, window_s: float) -> Figures: ...

    async def lost(self) -> int | None:
        """Answers the router made itself since `open`, because nobody could answer. None: unknown."""
        ...


EyesOf = Callable[[Plan], Eyes]
