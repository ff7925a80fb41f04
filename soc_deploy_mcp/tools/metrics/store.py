"""Scraped series in memory: one hour of samples, and for every scraped thing when it was last read.

A series that a successful scrape no longer shows, and every series of a failed scrape, gets an end mark: what was true
ten seconds ago must not answer for now (https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness).
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from soc_deploy_mcp.core.metrics import ScrapeHealth
from soc_deploy_mcp.tools.metrics.exposition import Key

INSTANCE = "instance"  # the label that says which scraped thing a series comes from, as Prometheus attaches it
RETENTION_MS = 3_600_000
LIMIT = 20_000  # series
_SPARE = 512  # samples past retention that may wait, so that trimming is rare


class ScrapeRefused(Exception):
    """The scrape was not taken; the text says why."""


class Series:
    """One series: when it was sampled (ms since 1970, rising), its values, and when it was seen to be gone."""

    __slots__ = ("gone", "key", "labels", "times", "values")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.labels: Mapping[str, str] = dict(key)
        self.times = array("q")
        self.values = array("d")
        self.gone = array("q")

    def add(self, t_ms: int, value: float) -> None:
        self.times.append(t_ms)
        self.values.append(value)

    def end(self, t_ms: int) -> None:
        if self.times and (not self.gone or self.gone[-1] < self.times[-1]):
            self.gone.append(t_ms)

    def at(self, t_ms: int, oldest_ms: int) -> tuple[int, float] | None:
        """The newest sample not after `t_ms` and not before `oldest_ms`, unless the series ended after it."""
        i = bisect_right(self.times, t_ms) - 1
        if i < 0 or self.times[i] < oldest_ms:
            return None
        if bisect_right(self.gone, t_ms) > bisect_left(self.gone, self.times[i]):
            return None
        return self.times[i], self.values[i]

    def window(self, from_ms: int, to_ms: int) -> tuple["array[int]", "array[float]"]:
        """Times and values of the samples in the closed interval."""
        i, j = bisect_left(self.times, from_ms), bisect_right(self.times, to_ms)
        return self.times[i:j], self.values[i:j]

    def trim(self, before_ms: int) -> None:
        if (old := bisect_left(self.times, before_ms)) > _SPARE or old == len(self.times):
            del self.times[:old], self.values[:old]
            del self.gone[: bisect_left(self.gone, before_ms)]


@dataclass(slots=True)
class _Scraped:
    """One scraped thing: what its last page held, and how the last attempt ended."""

    labels: Mapping[str, str]
    series: dict[Key, Series] = field(default_factory=dict)  # by the page's own key: every series of its last page
    known: dict[Key, Series] = field(default_factory=dict)  # those of earlier pages too
    last_scrape_ms: int | None = None
    last_try_ms: int = 0
    error: str | None = "not read yet"

    def health(self, name: str) -> ScrapeHealth:
        last = None if self.last_scrape_ms is None else self.last_scrape_ms / 1000
        return ScrapeHealth(name, self.error is None, last, self.error)


class Store:
    """Series by name, fed by whole scrapes."""

    def __init__(self, retention_ms: int = RETENTION_MS, limit: int = LIMIT) -> None:
        self._retention_ms = retention_ms
        self._limit = limit
        self._by_name: dict[str, dict[Key, Series]] = {}
        self._count = 0
        self._scraped: dict[str, _Scraped] = {}

    def add(
        self, scraped: str, t_ms: int, samples: Collection[tuple[Key, float]], labels: Mapping[str, str] | None = None
    ) -> None:
        """Take one successful scrape, whole. `labels` are attached to every series, beside `instance`.

        Raises ScrapeRefused when it is not later than the last one, or would go over the limit of series; the scrape
        is then recorded as failed.
        """
        seen = self._seen(scraped, labels or {})
        if t_ms <= seen.last_try_ms:
            self._refuse(scraped, seen.last_try_ms, "the clock went back: the page is not newer than the last one")
        new = sum(key not in seen.known for key, _ in samples)
        if self._count + new > self._limit:
            self._refuse(scraped, t_ms, f"more than {self._limit:,} series")
        before, seen.series = seen.series, {}
        for key, value in samples:
            series = seen.known.get(key) or self._register(seen, key)
            series.add(t_ms, value)
            seen.series[key] = series
        for key in before.keys() - seen.series.keys():
            before[key].end(t_ms)
        self._attempt(scraped, seen, t_ms, None)

    def failed(self, scraped: str, t_ms: int, error: str, labels: Mapping[str, str] | None = None) -> None:
        """Record a failed scrape: from now on its series say nothing."""
        seen = self._seen(scraped, labels or {})
        for series in seen.series.values():
            series.end(t_ms)
        seen.series = {}
        self._attempt(scraped, seen, t_ms, error)

    def failed_all(self, t_ms: int, error: str) -> None:
        for name, seen in self._scraped.items():
            self.failed(name, t_ms, error, {k: v for k, v in seen.labels.items() if k != INSTANCE})

    def keep_only(self, scraped: Collection[str], t_ms: int) -> None:
        """Everything else is scraped no longer: a vanished process gives no sample, not zero."""
        for name in self._scraped.keys() - set(scraped):
            self.failed(name, t_ms, "not scraped any more")
            for series in self._select_exact("up", name):
                series.end(t_ms + 1)
            del self._scraped[name]

    def trim(self, now_ms: int) -> None:
        """Forget what is older than the retention, and series without a sample left."""
        before = now_ms - self._retention_ms
        for name, group in list(self._by_name.items()):
            for key, series in list(group.items()):
                series.trim(before)
                if not series.times:
                    del group[key]
                    self._count -= name != "up"
            if not group:
                del self._by_name[name]
        for seen in self._scraped.values():
            seen.known = {key: series for key, series in seen.known.items() if series.times}

    def clear(self) -> None:
        """Forget everything: the clock jumped, and old times mean nothing any more."""
        self._by_name.clear()
        self._scraped.clear()
        self._count = 0

    def select(self, name: str | None, keep: Callable[[Mapping[str, str]], bool]) -> Iterator[Series]:
        """The series of a name (None: of any) whose labels are wanted."""
        groups: Iterable[dict[Key, Series]] = (
            self._by_name.values() if name is None else [self._by_name[name]] if name in self._by_name else []
        )
        return (series for group in groups for series in group.values() if keep(series.labels))

    def health(self) -> tuple[ScrapeHealth, ...]:
        """How every scraped thing is. `last_scrape` is the last success."""
        return tuple(seen.health(name) for name, seen in sorted(self._scraped.items()))

    def __len__(self) -> int:
        return self._count

    def _seen(self, scraped: str, labels: Mapping[str, str]) -> _Scraped:
        attached = {**labels, INSTANCE: scraped}
        seen = self._scraped.get(scraped)
        if seen is None or seen.labels != attached:
            ended = seen.series.values() if seen else ()
            seen = self._scraped[scraped] = _Scraped(attached, last_try_ms=seen.last_try_ms if seen else 0)
            for series in ended:
                series.end(series.times[-1] + 1)
        return seen

    def _refuse(self, scraped: str, t_ms: int, why: str) -> None:
        self.failed(scraped, t_ms, why)
        raise ScrapeRefused(why)

    def _attempt(self, scraped: str, seen: _Scraped, t_ms: int, error: str | None) -> None:
        seen.error = error
        if error is None:
            seen.last_scrape_ms = t_ms
        up = self.series((("__name__", "up"), (INSTANCE, scraped)))
        if t_ms > seen.last_try_ms:
            up.add(t_ms, float(error is None))
        seen.last_try_ms = max(t_ms, seen.last_try_ms)

    def _register(self, seen: _Scraped, key: Key) -> Series:
        series = seen.known[key] = self.series(_attach(key, seen.labels))
        self._count += 1
        return series

    def series(self, key: Key) -> Series:
        """The series with these labels; a new, empty one when there is none."""
        group = self._by_name.setdefault(dict(key)["__name__"], {})
        if key not in group:
            group[key] = Series(key)
        return group[key]

    def _select_exact(self, name: str, scraped: str) -> Iterator[Series]:
        return self.select(name, lambda labels: labels.get(INSTANCE) == scraped)


def _attach(key: Key, labels: Mapping[str, str]) -> Key:
    """The scraper's own labels and `up` win; what the page said under the same name is kept as `exported_…`."""
    attached = dict(labels)
    for label, value in key:
        name = label
        while name in attached:
            name = f"exported_{name}"
        attached[name] = "exported_up" if (name, value) == ("__name__", "up") else value
    return tuple(sorted(attached.items()))
