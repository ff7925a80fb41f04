"""Differences of raw counters equal what happened, or are unknown. Nothing doubtful is a zero."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.core.metrics import Sample, ScrapeHealth, SourceDown, Vector
from soc_deploy_mcp.tools.metrics.counts import CounterState, Deltas, Seen, Unknown, advance, observe

MAX_AGE_S = 2.0
T0 = 1_700_000_000.0


def sample(value: float, at: float, code: str = "200", instance: str = "router") -> Sample:
    return Sample({"__name__": "rq", "code": code, "instance": instance}, value, at)


def page(at: float, *values: float, up: bool = True, instance: str = "router") -> Seen:
    """A page of one thing: the first value is code 0, the next code 1, …"""
    samples = tuple(sample(value, at, str(code), instance) for code, value in enumerate(values))
    return Seen(samples if up else (), (ScrapeHealth(instance, up, at, None if up else "refused"),))


class Counter:
    """Looks one after the other, one second apart unless said."""

    def __init__(self) -> None:
        self.state, self.now = CounterState(), T0

    def look(self, *values: float, up: bool = True, instance: str = "router") -> int | Unknown:
        self.now += 1
        return self.at(page(self.now, *values, up=up, instance=instance))

    def at(self, seen: Seen) -> int | Unknown:
        result, self.state = advance(self.state, seen, self.now, MAX_AGE_S)
        return sum(result.series.values()) if isinstance(result, Deltas) else result


def started(*values: float) -> Counter:
    counter = Counter()
    assert counter.look(*values) == 0
    return counter


def reason(result: int | Unknown) -> str:
    assert isinstance(result, Unknown)
    return result.reason


def test_the_first_look_is_the_snapshot() -> None:
    counter = started(1000, 7)
    assert counter.look(1010, 9) == 12


def test_a_smaller_value_is_a_reset_and_counts_in_full() -> None:
    counter = started(1000, 7)
    assert counter.look(4, 8) == 5


def test_a_series_that_a_good_page_did_not_show_is_zero_and_counts_from_there() -> None:
    counter = started(10)
    assert counter.look(10, 3) == 3


def test_a_series_that_vanishes_adds_nothing_and_is_not_lost() -> None:
    counter = started(10, 5)
    assert counter.look(12) == 2
    assert counter.look(12, 2) == 2  # it began anew
    assert counter.look(12, 5) == 3


def test_a_series_that_was_gone_and_is_back_no_smaller_is_unknown_once() -> None:
    counter = started(10, 5)
    counter.look(12)
    assert "was gone and is back" in reason(counter.look(20, 6))
    assert counter.look(21, 8) == 11  # 9 since the last known look, and 2 since it came back


def test_a_failed_scrape_is_unknown_and_the_next_good_one_covers_the_time_between() -> None:
    counter = started(10)
    assert "router is down: refused" in reason(counter.look(up=False))
    assert counter.look(25) == 15


def test_a_stale_page_is_unknown() -> None:
    counter = started(10)
    stale = page(counter.now, 10)
    counter.now += MAX_AGE_S + 0.1
    assert "router is stale" in reason(counter.at(stale))


def test_the_same_page_again_adds_nothing() -> None:
    counter = started(10)
    again = page(counter.now, 10)
    counter.now += 1
    assert counter.at(again) == 0
    assert counter.look(11) == 1


def test_the_age_is_that_of_the_oldest_page_that_counts() -> None:
    one, two = page(T0 + 1, 5), page(T0, 5, instance="router-2")
    seen = Seen(one.samples + two.samples, (*one.health, *two.health, ScrapeHealth("other", True, T0 - 90, None)))
    result, _ = advance(CounterState(), seen, T0 + 1.5, MAX_AGE_S)
    assert isinstance(result, Deltas)
    assert result.age_s == 1.5
    early, _ = advance(CounterState(), seen, T0 - 0.5, MAX_AGE_S)
    assert isinstance(early, Unknown)  # two clocks: 1.5 s apart is too much …
    close, _ = advance(CounterState(), page(T0 + 1, 5), T0 + 0.5, MAX_AGE_S)
    assert isinstance(close, Deltas)
    assert close.age_s == 0  # … and a little is no age below 0


def test_a_page_older_than_the_last_one_is_unknown() -> None:
    counter = started(10)
    older = page(counter.now - 0.5, 3)
    assert "older than the last one" in reason(counter.at(older))
    assert counter.look(12) == 2


def test_a_page_from_the_future_is_unknown() -> None:
    counter = started(10)
    assert "in the future" in reason(counter.at(page(counter.now + 5, 12)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, 1.5, 2.0**54])
def test_what_is_no_count_is_unknown_and_loses_nothing(value: float) -> None:
    counter = started(10, 1)
    assert "is no count" in reason(counter.look(15, value))
    assert counter.look(18, 2) == 9


def test_a_series_that_is_there_twice_is_unknown() -> None:
    counter = started(10)
    seen = page(counter.now + 1, 12)
    counter.now += 1
    assert "there twice" in reason(counter.at(Seen(seen.samples * 2, seen.health)))


def test_a_sample_older_than_the_page_is_a_series_the_page_does_not_show() -> None:
    counter = started(10, 5)
    counter.now += 1
    seen = page(counter.now, 11)
    assert counter.at(Seen((*seen.samples, sample(9, counter.now - 1, "1")), seen.health)) == 1


def test_a_sample_newer_than_the_page_is_unknown() -> None:
    counter = started(10)
    counter.now += 1
    assert "change while" in reason(counter.at(Seen((sample(12, counter.now),), page(counter.now - 0.5).health)))


def test_a_thing_seen_for_the_first_time_brings_no_history() -> None:
    counter = started(10)
    assert "router-2 is read for the first time" in reason(counter.look(5000, instance="router-2"))
    assert counter.look(5003, instance="router-2") == 3


def test_a_second_thing_later_is_unknown_once_and_counts_from_there() -> None:
    counter = started(10)

    def both(a: float, b: float) -> Seen:
        counter.now += 1
        one, two = page(counter.now, a), page(counter.now, b, instance="router-2")
        return Seen(one.samples + two.samples, one.health + two.health)

    assert "router-2 is read for the first time" in reason(counter.at(both(12, 9000)))
    assert counter.at(both(13, 9004)) == 7


def test_when_everything_that_counted_is_gone_nothing_is_known() -> None:
    counter = started(10)
    assert "router: not scraped any more" in reason(counter.at(Seen((), (ScrapeHealth("other", True, T0 + 1, None),))))
    assert "nothing is scraped" in reason(counter.at(Seen((), ())))


def test_another_thing_that_is_down_does_not_hide_the_router() -> None:
    counter = started(10)
    counter.now += 1
    seen = page(counter.now, 14)
    assert counter.at(Seen(seen.samples, (*seen.health, ScrapeHealth("instances", False, None, "refused")))) == 4


def test_before_the_first_request_a_good_page_is_zero_and_a_bad_one_is_unknown() -> None:
    counter = started()
    assert counter.look() == 0
    assert isinstance(counter.look(up=False), Unknown)
    assert counter.look(3) == 3


def test_without_a_snapshot_a_failed_scrape_starts_nothing() -> None:
    counter = Counter()
    assert isinstance(counter.look(up=False), Unknown)
    assert not counter.state.started
    assert counter.look(500) == 0


def test_a_series_that_does_not_say_where_it_comes_from_is_unknown() -> None:
    seen = Seen((Sample({"__name__": "rq"}, 1, T0),), (ScrapeHealth("router", True, T0, None),))
    assert "where it comes from" in reason(Counter().at(seen))


class Flickering:
    """A source that is scraped between its answers, `times` times."""

    def __init__(self, times: int) -> None:
        self.times, self.at = times, T0

    async def health(self) -> tuple[ScrapeHealth, ...]:
        return (ScrapeHealth("router", True, self.at, None),)

    async def raw(self, selector: str, at: float) -> Vector:
        answer = (sample(at - T0, at),)
        if self.times:
            self.times, self.at = self.times - 1, self.at + 1
        return answer

    async def query(self, promql: str, at: float) -> Vector:
        raise NotImplementedError


async def test_pages_that_change_between_two_answers_are_asked_for_again() -> None:
    seen = await observe(Flickering(2), ["rq"], T0)
    assert [s.at for s in seen.samples] == [seen.health[0].last_scrape]
    with pytest.raises(SourceDown):
        await observe(Flickering(99), ["rq"], T0)


# --- a model: processes that count, restart and are read or not


@dataclass
class Process:
    """A router process. `life` grows with every restart; a restart that the platform sees gives it another name."""

    name: str
    life: int = 0
    counters: dict[str, int] = field(default_factory=dict)


@dataclass
class World:
    """What is known to a reader without gaps: value and life of every series when it was last accounted for."""

    processes: list[Process]
    counter: Counter = field(default_factory=Counter)
    accounted: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    read_before: set[str] = field(default_factory=set)
    gone: set[tuple[str, str]] = field(default_factory=set)
    names: int = 0

    def look(self, failing: frozenset[int]) -> None:
        self.counter.now += 1
        now = self.counter.now
        samples, health, shown = [], [], {}
        for i, process in enumerate(self.processes):
            health.append(ScrapeHealth(process.name, i not in failing, now, "refused" if i in failing else None))
            for code, value in process.counters.items() if i not in failing else ():
                samples.append(sample(value, now, code, process.name))
                shown[process.name, code] = (value, process.life)
        result, self.counter.state = advance(self.counter.state, Seen(tuple(samples), tuple(health)), now, MAX_AGE_S)
        self._judge(result, shown, {p.name for i, p in enumerate(self.processes) if i not in failing}, failing)

    def _judge(
        self,
        result: Deltas | Unknown,
        shown: dict[tuple[str, str], tuple[int, int]],
        read: set[str],
        failing: frozenset[int],
    ) -> None:
        counting = {name for name, _ in self.accounted.keys() | shown.keys()}
        down = {self.processes[i].name for i in failing}
        nothing_left = counting and not counting & {p.name for p in self.processes}
        if down & counting or nothing_left or (not counting and down):
            assert isinstance(result, Unknown)
            return
        if not self.counter.state.started or not self.read_before:
            assert isinstance(result, Deltas)
            assert not any(result.series.values())
            self._account(shown, read)
            return
        first = {name for name in read - self.read_before if any(n == name for n, _ in shown)}
        back = {s for s in shown.keys() & self.gone if shown[s][0] >= self.accounted[s][0] and s[0] not in first}
        if first or back:
            assert isinstance(result, Unknown)
            self.accounted |= {s: v for s, v in shown.items() if s[0] in first or s in back}
            self.gone -= back
            self.read_before |= read
            return
        assert isinstance(result, Deltas)
        self._compare(result, shown)
        self._account(shown, read)

    def _compare(self, result: Deltas, shown: dict[tuple[str, str], tuple[int, int]]) -> None:
        for key, delta in result.series.items():
            series = dict(key)["instance"], dict(key)["code"]
            if series not in shown:
                assert delta == 0
                continue
            value, life = shown[series]
            before, life_before = self.accounted.get(series, (0, life))
            happened = value - before if life == life_before else value
            if life != life_before and value >= before and series not in self.gone:
                assert delta <= happened  # a restart that overtook its old value between two pages cannot be seen
            else:
                assert delta == happened

    def _account(self, shown: dict[tuple[str, str], tuple[int, int]], read: set[str]) -> None:
        self.gone = {s for s in self.gone | self.accounted.keys() if s[0] in read and s not in shown} | {
            s for s in self.gone if s[0] not in read
        }
        self.accounted |= shown
        self.read_before |= read


_events = st.tuples(st.just("event"), st.integers(0, 1), st.sampled_from(["200", "500"]), st.integers(1, 9))
_restart = st.tuples(st.just("restart"), st.integers(0, 1), st.booleans())
_look = st.tuples(st.just("look"), st.frozensets(st.integers(0, 1)))
_good = st.tuples(st.just("look"), st.just(frozenset()))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(_events, _events, _restart, _look, _good), max_size=40))
def test_any_interleaving_equals_what_happened_or_is_unknown(steps: list[tuple[object, ...]]) -> None:
    world = World([Process("router-1"), Process("router-2")])
    for step in steps:
        match step:
            case ("event", int(i), str(code), int(k)):
                counters = world.processes[i].counters
                counters[code] = counters.get(code, 0) + k  # a series is shown from its first event on
            case ("restart", int(i), bool(renamed)):
                process = world.processes[i]
                process.life, process.counters = process.life + 1, {}
                if renamed:
                    world.names += 1
                    world.processes[i] = Process(f"router-{i + 1}-{world.names}", process.life)
            case ("look", frozenset() as failing):
                world.look(failing)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=30))
def test_failed_looks_lose_and_invent_nothing(seconds: list[tuple[int, bool]]) -> None:
    counter, value, counted = started(100), 100, 0
    for added, up in [*seconds, (0, True)]:
        value += added
        result = counter.look(value, up=up)
        counted += result if isinstance(result, int) else 0
    assert counted == value - 100


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(0, 50), st.none()), max_size=20), st.integers(0, 20))
def test_a_restart_of_the_reader_changes_nothing(values: list[int | None], cut: int) -> None:
    def run(keep: Callable[[CounterState], CounterState]) -> list[int | None]:
        counter, out = started(3), []
        for i, value in enumerate(values):
            if i == cut:
                counter.state = keep(counter.state)
            result = counter.look(*([] if value is None else [value]))
            out.append(result if isinstance(result, int) else None)
        return out

    assert run(lambda s: CounterState.from_json(json.loads(json.dumps(s.to_json())))) == run(lambda s: s)
