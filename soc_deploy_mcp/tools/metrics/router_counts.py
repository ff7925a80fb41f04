"""The router's counters of several arms, as users' requests, 5xx and slow requests since the last look. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from soc_deploy_mcp.core.metrics import ArmLabels
from soc_deploy_mcp.tools.metrics.counts import CounterState, Seen, Unknown, advance
from soc_deploy_mcp.tools.metrics.exposition import Key
from soc_deploy_mcp.tools.metrics.probes import NOTHING, Carried, Counts, users_of
from soc_deploy_mcp.tools.metrics.routers import PROBES, RouterQueries

ERRORS, LATENCY = "errors", "latency"


@dataclass(frozen=True, slots=True)
class RouterState:
    """What is remembered between two looks."""

    counters: CounterState = field(default_factory=CounterState)
    carried: Mapping[str, Carried] = field(default_factory=dict)  # by the router's name
    probed: frozenset[str] = frozenset()  # names under which probes were counted at the last look

    def to_json(self) -> dict[str, Any]:
        carried = {name: [c.n, c.x] for name, c in self.carried.items()}
        return {"counters": self.counters.to_json(), "carried": carried, "probed": sorted(self.probed)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RouterState":
        carried = {name: Carried(n, x) for name, (n, x) in data["carried"].items()}
        return cls(CounterState.from_json(data["counters"]), carried, frozenset(data["probed"]))


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """Of one arm: by metric, each with its own count or its own gap."""

    metrics: Mapping[str, Counts | Unknown]
    age_s: float  # of the router's page


@dataclass(slots=True)
class Named:
    """What was added under one of the router's names."""

    requests: Counts = NOTHING
    probes: Counts | None = None  # None: none was ever counted
    buckets: dict[float, int] = field(default_factory=dict)  # upper bound in ms -> requests at or under it


def selectors(queries: RouterQueries, arms: Iterable[ArmLabels]) -> tuple[str, ...]:
    """What must be read raw, for all arms together."""
    arms = tuple(arms)
    every = ArmLabels(arms[0].label, tuple(dict.fromkeys(value for arm in arms for value in arm.values)))
    return queries.requests_selector(every), queries.buckets_selector(every), PROBES


def read(
    state: RouterState,
    seen: Seen,
    now: float,
    *,
    queries: RouterQueries,
    arms: Mapping[str, ArmLabels],
    bounds_ms: Mapping[str, float],
    max_age_s: float,
) -> tuple[Mapping[str, ArmCounts] | Unknown, RouterState]:
    """Counts of every arm and the next state, or why there are none. `bounds_ms`: latency metric -> its bound."""
    deltas, counters = advance(state.counters, seen, now, max_age_s, aside=PROBES)
    if isinstance(deltas, Unknown):
        return deltas, replace(state, counters=counters)
    names = by_name(deltas.series, queries, {arm.label for arm in arms.values()})
    shown, carried = _users(names, state.carried)
    probed = frozenset(name for name, added in names.items() if added.probes and added.probes.n)
    # The histogram is written out later than the counters: a probe's time may come one look after its count.
    unclear = probed | state.probed
    counted = {
        arm: ArmCounts(
            {
                ERRORS: _sum(shown[value] for value in labels.values if value in shown),
                **{metric: _slower(labels, names, shown, unclear, bound) for metric, bound in bounds_ms.items()},
            },
            deltas.age_s,
        )
        for arm, labels in arms.items()
    }
    return counted, RouterState(counters, carried, probed)


def by_name(series: Mapping[Key, int], queries: RouterQueries, labels: Iterable[str]) -> dict[str, Named]:
    """Events by series, sorted by the router's names. A probe that says no such name is one of its release's own."""
    names: dict[str, Named] = {}
    for key, added in series.items():
        of = dict(key)
        entry = names.setdefault(next((of[label] for label in labels if label in of), of.get("release", "")), Named())
        bad = added if queries.is_bad(of) else 0
        if of["__name__"] == PROBES:
            entry.probes = _sum((entry.probes or NOTHING, Counts(added, bad)))
        elif (bound := queries.bound_ms(of)) is not None:
            entry.buckets[bound] = entry.buckets.get(bound, 0) + added
        else:
            entry.requests = _sum((entry.requests, Counts(added, bad)))
    return names


def _users(names: Mapping[str, Named], before: Mapping[str, Carried]) -> tuple[dict[str, Counts], dict[str, Carried]]:
    shown: dict[str, Counts] = {}
    carried: dict[str, Carried] = {}
    for name, added in names.items():
        if added.probes is None:
            shown[name] = added.requests
        else:
            shown[name], carried[name] = users_of(added.requests, added.probes, before.get(name, Carried()))
    return shown, carried


def _slower(
    arm: ArmLabels, names: Mapping[str, Named], shown: Mapping[str, Counts], unclear: frozenset[str], bound_ms: float
) -> Counts | Unknown:
    """Timed requests of an arm and those above the bound. Whose time a probe's was cannot be told afterwards."""
    total = NOTHING
    for name in arm.values:
        if name not in names or (name in unclear and not shown[name].n):
            continue
        if name in unclear:
            return Unknown(f"our own probes are among the timed requests of {name}")
        buckets = names[name].buckets
        timed = buckets.get(math.inf, 0)
        if timed and bound_ms not in buckets:
            return Unknown(f"the router has no bucket that ends at {bound_ms:g} ms")
        slow = timed - buckets.get(bound_ms, 0)
        if not 0 <= slow <= timed:
            return Unknown(f"the buckets of {name} do not add up")
        total = _sum((total, Counts(timed, slow)))
    return total


def _sum(parts: Iterable[Counts]) -> Counts:
    parts = tuple(parts)
    return Counts(sum(part.n for part in parts), sum(part.x for part in parts))
