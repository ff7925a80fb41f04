"""Checks of the user's own, for one arm: counted events by raw counters, or a level by a query."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from soc_deploy_mcp.core.config.settings import CustomCheck
from soc_deploy_mcp.core.metrics import BadQuery, MetricsSource, SourceDown
from soc_deploy_mcp.tools.metrics.counter_query import Term, check_counter, filled_in, terms
from soc_deploy_mcp.tools.metrics.counts import CounterState, Seen, Unknown, advance
from soc_deploy_mcp.tools.metrics.exposition import Key
from soc_deploy_mcp.tools.metrics.probes import Counts
from soc_deploy_mcp.tools.metrics.promql import Engine
from soc_deploy_mcp.tools.metrics.selectors import plain_selector


def check_queries(check: CustomCheck) -> None:
    """Refuse, when a plan is made, what the judge could not use. Raises BadQuery or Unsupported, with the column."""
    if check.gauge is not None:
        Engine.check(check.gauge)
    for expr in (check.bad, check.total):
        if expr is not None:
            check_counter(expr)


@dataclass(frozen=True, slots=True)
class CountedCheck:
    """`bad` and `total` of one check, filled in for one arm."""

    bad: tuple[Term, ...]
    total: tuple[Term, ...]

    @classmethod
    def of(cls, bad: str, total: str, *, version: str, release: str) -> "CountedCheck":
        bad_terms = terms(filled_in(bad, version=version, release=release))
        return cls(bad_terms, terms(filled_in(total, version=version, release=release)))

    @property
    def selectors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(term.selector for term in (*self.bad, *self.total)))

    def read(
        self, state: CounterState, seen: Seen, now: float, max_age_s: float
    ) -> tuple[Counts | Unknown, CounterState]:
        """Events since the last look. Where `bad` and `total` contradict each other nothing is taken."""
        deltas, after = advance(state, seen, now, max_age_s)
        if isinstance(deltas, Unknown):
            return deltas, after
        if not any(_matches(term, key) for term in self.total for key in deltas.series):
            return Unknown("no series matches `total`"), after
        bad, total = _sum(self.bad, deltas.series), _sum(self.total, deltas.series)
        if not 0 <= bad <= total:
            return Unknown(f"{bad} bad events of {total}: the queries do not belong together"), state
        return Counts(total, bad), after


def _sum(parts: Iterable[Term], series: Mapping[Key, int]) -> int:
    return sum(term.sign * added for term in parts for key, added in series.items() if _matches(term, key))


def _matches(term: Term, key: Key) -> bool:
    selector, labels = plain_selector(term.selector), dict(key)
    return selector.name in (None, labels.get("__name__")) and selector.keep(labels)


async def level(source: MetricsSource, expr: str, at: float, max_age_s: float) -> float | Unknown:
    """The one value of a gauge's query, if it is a fresh number."""
    try:
        found = await source.query(expr, at)
    except (SourceDown, BadQuery) as error:
        return Unknown(str(error))
    if len(found) != 1:
        return Unknown("no series matches" if not found else f"{len(found)} series match: aggregate them")
    value, age = found[0].value, at - found[0].at
    if not math.isfinite(value):
        return Unknown(f"the value is {value}")
    return Unknown(f"stale: sampled {age:.1f} s ago") if age > max_age_s else value
