"""What a metric source answers, whichever it is. Unknown is an error or an empty vector, never a zero."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one moment. `at` is when it was sampled (seconds since 1970), not when it was asked for."""

    labels: Mapping[str, str]  # with __name__ where the query keeps it
    value: float
    at: float


Vector = tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class ScrapeHealth:
    """One scraped thing: is it up, when was it last read, and what was wrong."""

    name: str
    up: bool
    last_scrape: float | None  # seconds since 1970; None: never
    error: str | None = None


class SourceDown(Exception):
    """The source does not answer."""


class BadQuery(Exception):
    """The query does not parse, or is no query a judge can use."""


class Unsupported(BadQuery):
    """The query parses, and uses what the evaluator does not implement. It never guesses."""


class MetricsSource(Protocol):
    async def query(self, promql: str, at: float) -> Vector:
        """Evaluate an instant query. Raises SourceDown, BadQuery, Unsupported."""
        ...

    async def raw(self, selector: str, at: float) -> Vector:
        """A plain selector without functions: the values and their own sample times."""
        ...

    async def health(self) -> tuple[ScrapeHealth, ...]: ...


@dataclass(frozen=True, slots=True)
class ArmLabels:
    """How a release's series are found. Requests may be counted under several names (its own and its spill-over)."""

    label: str  # the label's name, such as envoy_cluster_name
    values: tuple[str, ...]
