"""From raw counters to what was added since the last look, in whole events, or the reason why that is not known.

`rate()` and `increase()` extrapolate, give fractions and overlap, so the judge never sees them: it gets differences of
each series, summed after, because a reset of one instance hides in a sum. Everything doubtful is unknown, and after an
unknown look nothing is lost: the next good one covers the time between.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from soc_deploy_mcp.core.metrics import MetricsSource, Sample, ScrapeHealth, SourceDown, Vector
from soc_deploy_mcp.tools.metrics.exposition import Key, series_text
from soc_deploy_mcp.tools.metrics.store import INSTANCE

_EXACT = 2**53  # above it a float skips whole numbers
_CLOCKS_APART_S = 1.0


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not zero, not fine: there is no count, and why."""

    reason: str

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Deltas:
    """Events by series since the last known look; 0 for a series that was there before and showed nothing new."""

    series: Mapping[Key, int]
    age_s: float  # of the oldest page that was read


@dataclass(frozen=True, slots=True)
class Seen:
    """Raw counters of one moment, and how the things they were scraped from are."""

    samples: Vector
    health: tuple[ScrapeHealth, ...]


@dataclass(frozen=True, slots=True)
class CounterState:
    """The last known values. Kept in the journal: after a restart the difference covers the blind time."""

    started: bool = False
    pages: Mapping[str, float] = field(default_factory=dict)  # scraped thing -> when its last page was read
    values: Mapping[Key, int] = field(default_factory=dict)
    gone: frozenset[Key] = frozenset()  # known series that the last page did not show

    def to_json(self) -> dict[str, Any]:
        rows = [[dict(key), value, key in self.gone] for key, value in sorted(self.values.items())]
        return {"started": self.started, "pages": dict(self.pages), "series": rows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "CounterState":
        rows = [(tuple(sorted(labels.items())), value, gone) for labels, value, gone in data["series"]]
        return cls(
            started=data["started"],
            pages=dict(data["pages"]),
            values={key: value for key, value, _ in rows},
            gone=frozenset(key for key, _, gone in rows if gone),
        )


async def observe(source: MetricsSource, selectors: Sequence[str], at: float) -> Seen:
    """The raw counters of several selectors from one and the same set of pages, the newest. Raises SourceDown."""
    for _ in range(3):
        health = await source.health()
        newest = max((at, *(thing.last_scrape for thing in health if thing.last_scrape is not None)))
        samples = [sample for selector in selectors for sample in await source.raw(selector, newest)]
        if await source.health() == health:
            return Seen(tuple(samples), health)
    raise SourceDown("the pages change while they are read")


def advance(
    state: CounterState, seen: Seen, now: float, max_age_s: float, *, aside: str = ""
) -> tuple[Deltas | Unknown, CounterState]:
    """What was added since the last known look, and the state for the next.

    `aside`: a metric that comes from elsewhere than what is counted. Where nothing but it was ever seen, every scraped
    thing must be up: any of them may be the one that counts.

    The first look counts nothing: it is the snapshot. Rules for a series: smaller than before is a reset and counts in
    full; missing from a good page adds nothing; new on a page whose forerunner was read counts in full. Unknown:
    a thing that counted is down, stale or gone; a value that is no whole number from 0; a thing seen for the first
    time (its history is not ours); a series that was gone and is back with no less (a reset cannot be told).
    """
    try:
        looks = _looks(state, seen, now, max_age_s, aside)
    except NoCount as doubt:
        return Unknown(str(doubt)), state
    if not state.started:
        return Deltas({key: 0 for look in looks for key in look.values}, _age(looks, now)), _snapshot(looks)
    if reason := next((look.unclear for look in looks if look.unclear), None):
        return Unknown(reason), _rebased(state, looks)
    return _counted(state, looks, now)


class NoCount(Exception):
    """Why nothing can be said."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One scraped thing at this look."""

    name: str
    page: float
    values: Mapping[Key, int]
    known: Mapping[Key, int]  # its series at the last look
    first: bool  # never read before
    back: frozenset[Key]  # were gone, are here again, and no smaller
    counts: bool  # has a series of ours, then or now

    @property
    def unclear(self) -> str:
        if self.first and self.counts:
            return f"{self.name} is read for the first time"
        if self.back:
            return f"{series_text(min(self.back))} was gone and is back"
        return ""


def _looks(state: CounterState, seen: Seen, now: float, max_age_s: float, aside: str) -> list[_Look]:
    """Every scraped thing that is up; NoCount when one that counts is not fit to be read."""
    if not seen.health:
        raise NoCount("nothing is scraped")
    found = _by_thing(seen.samples)
    known = [dict(key) for key in state.values] + [sample.labels for sample in seen.samples]
    counted = {labels[INSTANCE] for labels in known}
    main = {labels[INSTANCE] for labels in known if labels.get("__name__") != aside}
    if main.isdisjoint(health.name for health in seen.health) and main:
        raise NoCount(f"{', '.join(sorted(main))}: not scraped any more")
    looks = []
    for health in seen.health:
        if health.name in counted or not main:
            _fit(health, now, max_age_s)
        if health.up and health.last_scrape is not None:
            looks.append(_look(state, health.name, health.last_scrape, found.get(health.name, ())))
    return looks


def _by_thing(samples: Vector) -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    for sample in samples:
        if INSTANCE not in sample.labels:
            raise NoCount(f"{series_text(key_of(sample))} does not say where it comes from")
        out.setdefault(sample.labels[INSTANCE], []).append(sample)
    return out


def _fit(health: ScrapeHealth, now: float, max_age_s: float) -> None:
    if not health.up or health.last_scrape is None:
        raise NoCount(f"{health.name} is down: {health.error or 'never read'}")
    age = now - health.last_scrape
    if age > max_age_s:
        raise NoCount(f"{health.name} is stale: last read {age:.1f} s ago")
    if age < -_CLOCKS_APART_S:
        raise NoCount(f"{health.name} was read {-age:.1f} s in the future")


def _look(state: CounterState, name: str, page: float, samples: Sequence[Sample]) -> _Look:
    values = _values(samples, page)
    known = {key: value for key, value in state.values.items() if dict(key).get(INSTANCE) == name}
    last = state.pages.get(name)
    if last is not None and page < last:
        raise NoCount(f"the page of {name} is older than the last one")
    back = frozenset(key for key, value in values.items() if key in state.gone and value >= known[key])
    return _Look(name, page, values, known, last is None, back, bool(values or known))


def _values(samples: Sequence[Sample], page: float) -> dict[Key, int]:
    """Values of the page itself; a sample older than the page is a series that the page no longer shows."""
    out: dict[Key, int] = {}
    for sample in samples:
        key = key_of(sample)
        if key in out:
            raise NoCount(f"{series_text(key)} is there twice")
        if sample.at > page:
            raise NoCount("the pages change while they are read")
        if sample.at == page:
            out[key] = whole(sample)
    return out


def whole(sample: Sample) -> int:
    """The value of a raw counter. Raises NoCount for anything but a whole number from 0."""
    value = sample.value
    if not math.isfinite(value) or value < 0 or value != int(value) or value > _EXACT:
        raise NoCount(f"{series_text(key_of(sample))} is {value}, which is no count")
    return int(value)


def key_of(sample: Sample) -> Key:
    return tuple(sorted(sample.labels.items()))


def _age(looks: Sequence[_Look], now: float) -> float:
    counting = [look for look in looks if look.counts] or looks
    return max(now - min(look.page for look in counting), 0.0)


def _snapshot(looks: Sequence[_Look]) -> CounterState:
    values = {key: value for look in looks for key, value in look.values.items()}
    return CounterState(True, {look.name: look.page for look in looks}, values)


def _rebased(state: CounterState, looks: Sequence[_Look]) -> CounterState:
    """Nothing is counted; only what cannot be told apart starts anew."""
    pages = {look.name: look.page for look in looks if look.first}
    values = {key: look.values[key] for look in looks for key in (look.values if look.first else look.back)}
    return replace(
        state, pages={**state.pages, **pages}, values={**state.values, **values}, gone=state.gone - values.keys()
    )


def _counted(state: CounterState, looks: Sequence[_Look], now: float) -> tuple[Deltas, CounterState]:
    deltas: dict[Key, int] = {}
    gone = state.gone
    for look in looks:
        deltas |= dict.fromkeys(look.known, 0)
        deltas |= {key: _difference(value, look.known.get(key)) for key, value in look.values.items()}
        gone = (gone - look.values.keys()) | (look.known.keys() - look.values.keys())
    values = {**state.values, **{key: value for look in looks for key, value in look.values.items()}}
    pages = {**state.pages, **{look.name: look.page for look in looks}}
    return Deltas(deltas, _age(looks, now)), replace(state, pages=pages, values=values, gone=gone)


def _difference(value: int, before: int | None) -> int:
    return value - before if before is not None and value >= before else value
