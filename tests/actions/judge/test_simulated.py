"""The assembled judge on seeded traffic, short; `make bench-judge` runs the full size."""

from dataclasses import replace

import pytest

from soc_deploy_mcp.actions.deploy.judge import Stage, Word
from tests.actions.judge.simulate import DEFAULT, Case, Outcome, World, at_weight, play, play_many, steps

BAD = {Word.REJECT, Word.ABSOLUTE, Word.BUDGET, Word.NO_DATA}


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def stopped(outcomes: list[Outcome]) -> int:
    return sum(o.word in BAD for o in outcomes)


def accepted(outcomes: list[Outcome]) -> float:
    return sum(o.word is Word.ACCEPT for o in outcomes) / len(outcomes)


def test_the_same_seed_is_the_same_rollout() -> None:
    case = Case(World())
    assert play(case, 7) == play(case, 7)
    assert play(case, 7) != play(case, 8)


@pytest.mark.parametrize("ratio", [1.0, 1.25])
@pytest.mark.parametrize(("rps", "weight"), [(20, 5), (200, 50), (2000, 5)])
def test_a_good_release_is_not_stopped(rps: float, weight: int, ratio: float) -> None:
    case = at_weight(Case(World(rps=rps, errors=0.002, slow=0.02, ratio=ratio)), weight, 900)
    assert stopped(play_many(case, 40)) <= 1


@pytest.mark.parametrize("burst", [2, 5])
def test_bursts_that_were_measured_stop_no_good_release(burst: int) -> None:
    world = World(rps=200, errors=0.005, slow=0.01, burst=burst, burst_slow=burst)
    known = tuple((m, float(burst)) for m in ("errors", "latency", "latency_slo"))
    assert stopped(play_many(at_weight(Case(world, k=known), 10, 900), 60)) <= 2


def test_bursts_that_nobody_allowed_for_stop_many() -> None:
    """What the divisor is for; without it the test above would prove nothing."""
    world = World(rps=200, errors=0.005, slow=0.01, burst=10)
    assert stopped(play_many(at_weight(Case(world), 10, 900), 20)) >= 15


@pytest.mark.parametrize(("weight", "base"), [(5, 0.005), (50, 0.002), (100, 0.001)])
def test_a_release_twice_as_bad_seldom_passes_a_step(weight: int, base: float) -> None:
    stage = Stage(weight, weight < 100, 60, 900)
    case = Case(World(rps=200, errors=base, ratio=2, slow_new=0.01), stages=(stage,))
    assert accepted(play_many(case, 120)) <= 0.09


@pytest.mark.parametrize(("rate", "limit"), [(0.5, 5), (0.05, 20), (0.02, 60)])
def test_errors_are_found_in_seconds(rate: float, limit: float) -> None:
    outcomes = play_many(Case(World(errors_new=rate), stages=steps(10, 50, 100)), 60)
    assert all(o.word is Word.REJECT for o in outcomes)
    assert median([o.at_s for o in outcomes]) <= limit


def test_slow_answers_are_found_in_a_tick_or_two() -> None:
    outcomes = play_many(Case(World(slow_new=1.0), stages=steps(10, 50, 100), tick=1.0), 40)
    assert {o.metric for o in outcomes} == {"latency"}
    assert max(o.at_s for o in outcomes) <= 5


def test_a_late_regression_is_found_nearly_as_fast() -> None:
    world = World(rps=1000, errors=0.005, ratio=4, slow_new=0.01)
    case = Case(world, stages=(Stage(10, True, 1800, 1800),))
    at_once = median([o.at_s for o in play_many(case, 20)])
    late = replace(case, world=replace(world, onset_s=900.0))
    assert median([o.at_s - 900 for o in play_many(late, 20)]) <= 3 * at_once


def test_a_shared_outage_is_blamed_on_nobody() -> None:
    for rate in (0.1, 0.5):
        world = World(rps=100, outage=(60, 240, rate))
        outcomes = play_many(Case(world, stages=(Stage(25, True, 300, 300),), go_on=True, until_s=300), 40)
        assert stopped(outcomes) == 0
        assert all(Word.ENV_UNHEALTHY in o.said for o in outcomes)


def test_a_healthy_default_canary_is_promoted() -> None:
    outcomes = play_many(Case(World()), 60)
    assert accepted(outcomes) >= 0.95
    assert median([o.at_s for o in outcomes]) <= 700


def test_probes_promote_a_healthy_release_that_nobody_visits() -> None:
    outcomes = play_many(Case(World(rps=0.2, errors=0.0), probes=20, history=False), 12)
    assert accepted(outcomes) == 1.0
    assert median([o.at_s for o in outcomes]) <= 700


def test_users_alone_cannot_promote_it() -> None:
    outcomes = play_many(Case(World(rps=0.2, errors=0.0), history=False), 6)
    assert accepted(outcomes) == 0.0


def test_the_default_rollout_is_five_steps_of_the_table() -> None:
    assert [s.weight for s in DEFAULT] == [5, 25, 50, 100]
    assert [s.concurrent for s in DEFAULT] == [True, True, True, False]
