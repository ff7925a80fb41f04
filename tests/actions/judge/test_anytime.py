"""Looked at after every tick, over every course that a few ticks can take: how often the judge is ever wrong.

Each course is walked to the first wrong word and its probability is summed, so the figures are exact, not simulated.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import comb, exp, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.actions.deploy import judge
from soc_deploy_mcp.actions.deploy.judge import (
    ArmTick,
    Count,
    JudgeState,
    Reading,
    Specs,
    Stage,
    StepInfo,
    Tick,
    Verdict,
    Word,
)
from soc_deploy_mcp.actions.deploy.judge import eprocess as e
from soc_deploy_mcp.actions.deploy.judge.readings import readings
from tests.actions.judge.build import CANARY, EVERYBODY, MEASURED, rules

N = 3  # requests of each release in a tick: the fewest that are compared without waiting for more


def binomial(n: int, rate: float) -> list[float]:
    return [comb(n, x) * rate**x * (1 - rate) ** (n - x) for x in range(n + 1)]


def outcomes(rate_c: float, rate_b: float) -> Iterator[tuple[int, int, float]]:
    for (x_c, p_c), (x_b, p_b) in product(enumerate(binomial(N, rate_c)), enumerate(binomial(N, rate_b))):
        yield x_c, x_b, p_c * p_b


def ever_crossed(rates_b: Sequence[float], ratio: float, alpha: float, k: float, planned: int) -> float:
    """P(the relative test reaches 1/alpha after any tick); the old release's rate changes from tick to tick."""
    ratios = e.worse_ratios(1.25)

    def crossed(mixture: e.Mixture, tick: int) -> float:
        if e.ln_e(mixture, planned) >= -log(alpha):
            return 1.0
        if tick == len(rates_b):
            return 0.0
        rate = rates_b[tick]
        return sum(
            p * crossed(e.grow(mixture, e.compare(ratios, 1.25, N, x_c, N, x_b, k), planned), tick + 1)
            for x_c, x_b, p in outcomes(min(1.0, ratio * rate), rate)
            if p > 0
        )

    return crossed(e.fresh(len(ratios)), 0)


@pytest.mark.parametrize("alpha", [0.5, 0.3])
@pytest.mark.parametrize("planned", [1, 2, 3, 40])
@pytest.mark.parametrize("rates", [(0.5, 0.5, 0.5), (0.1, 0.8, 0.1)], ids=["steady", "shared outage"])
def test_looking_after_every_tick_never_costs_more_than_alpha(
    rates: tuple[float, ...], planned: int, alpha: float
) -> None:
    assert 0 < ever_crossed(rates, 1.25, alpha, 1.0, planned) <= alpha


def test_a_worse_release_crosses_more_often_than_alpha() -> None:
    assert ever_crossed((0.1, 0.1, 0.1), 9.0, 0.3, 1.0, 3) > 0.6


# --- the assembled judge


def ever(specs: Specs, rate_c: float, rate_b: float | None, wrong: Callable[[Verdict], bool], ticks: int = 3) -> float:
    """P(a verdict is ever wrong). Without `rate_b` there is no old release beside the new one."""
    step = StepInfo(0.0, 0, 900, min_samples=1)

    def walked(state: JudgeState, at: int) -> float:
        if at and wrong(judge.verdict(state, specs, step, float(at))):
            return 1.0
        if at == ticks:
            return 0.0
        return sum(p * walked(judge.update(state, t, specs)[0], at + 1) for t, p in seconds(at + 1, rate_c, rate_b))

    return walked(judge.new_state(specs, ticks), 0)


def expected(specs: Specs, rate_c: float, rate_b: float | None, bet: Callable[[Reading], float], ticks: int) -> float:
    """The expectation of an e-value after some ticks."""
    reached = [(judge.new_state(specs, ticks), 1.0)]
    for at in range(1, ticks + 1):
        courses = ((state, so_far, t, p) for state, so_far in reached for t, p in seconds(at, rate_c, rate_b))
        reached = [(judge.update(state, t, specs)[0], so_far * p) for state, so_far, t, p in courses]
    return sum(p * bet(readings(state, specs)[0]) for state, p in reached)


def seconds(at: int, rate_c: float, rate_b: float | None) -> Iterator[tuple[Tick, float]]:
    for x_c, x_b, p in outcomes(rate_c, rate_b) if rate_b is not None else ((x, 0, p) for x, p in alone(rate_c)):
        canary, baseline = (ArmTick({"errors": Count(N, x)}) for x in (x_c, x_b))
        yield Tick(float(at), canary, baseline if rate_b is not None else None), p


def alone(rate: float) -> Iterator[tuple[int, float]]:
    yield from enumerate(binomial(N, rate))


def known(rate: float, stage: Stage = CANARY, stages: Sequence[Stage] = (CANARY, EVERYBODY), **more: float) -> Specs:
    before = {"errors": Count(1000, round(1000 * rate))}
    measured = replace(MEASURED, before=before, bounds_ms={}, rps=None, requests_30d=None)
    return rules(stage=stage, stages=stages, measured=measured, **more)


def fails(verdict: Verdict) -> bool:
    return verdict.failure


def promotes(verdict: Verdict) -> bool:
    return verdict.word is Word.ACCEPT


@pytest.mark.parametrize("alpha", [0.5, 0.3])
@pytest.mark.parametrize("rate_b", [0.2, 0.4])
def test_a_release_at_r0_ever_fails_with_alpha_at_most(rate_b: float, alpha: float) -> None:
    assert 0 < ever(known(rate_b, alpha=alpha), 1.25 * rate_b, rate_b, fails) <= alpha


@pytest.mark.parametrize("beta", [0.5, 0.2])
@pytest.mark.parametrize("rate_b", [0.2, 0.4])
def test_a_release_at_r_bad_ever_passes_with_beta_at_most(rate_b: float, beta: float) -> None:
    specs = known(rate_b, beta=beta)
    assert specs.metrics[0].theta_ok == pytest.approx(2 * rate_b)
    assert 0 < ever(specs, 2 * rate_b, rate_b, promotes) <= beta


@pytest.mark.parametrize("beta", [0.5, 0.2])
def test_alone_a_release_at_what_is_good_enough_ever_passes_with_beta_at_most(beta: float) -> None:
    specs = known(0.3, EVERYBODY, (EVERYBODY,), beta=beta)
    assert 0 < ever(specs, 0.6, None, promotes, ticks=6) <= beta


@pytest.mark.parametrize("ticks", [1, 2])
@pytest.mark.parametrize("rate_b", [0.1, 0.2, 0.4])
def test_no_release_at_r_bad_is_expected_to_look_safe(rate_b: float, ticks: int) -> None:
    assert 0.1 < expected(known(rate_b), 2 * rate_b, rate_b, lambda r: exp(r.ln_safe), ticks) <= 1 + 1e-12


@pytest.mark.parametrize("ticks", [1, 4])
def test_alone_no_release_at_what_is_good_enough_is_expected_to_look_safe(ticks: int) -> None:
    specs = known(0.3, EVERYBODY, (EVERYBODY,))
    assert 0.1 < expected(specs, 0.6, None, lambda r: exp(r.ln_safe), ticks) <= 1 + 1e-12


@pytest.mark.parametrize("ticks", [1, 2])
@pytest.mark.parametrize("rate_b", [0.1, 0.4])
def test_all_that_is_bet_on_a_release_at_r0_is_expected_to_bring_nothing(rate_b: float, ticks: int) -> None:
    """Comparison and guard together, each with its share of alpha."""

    def brought(r: Reading) -> float:
        return (exp(r.ln_worse - r.ln_worse_needed) + exp(r.ln_guard - r.ln_guard_needed)) / 0.01

    assert 0.1 < expected(known(rate_b), 1.25 * rate_b, rate_b, brought, ticks) <= 1 + 1e-12


def test_a_good_release_passes_and_a_bad_one_fails_often() -> None:
    """What makes the bounds above say something: the same walk finds what it should find."""
    assert ever(known(0.2, beta=0.5), 0.0, 0.2, promotes) > 0.9
    assert ever(known(0.2, alpha=0.5), 1.0, 0.2, fails) > 0.9


# --- more bad requests never help

counts = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200), st.integers(0, 8)).map(
    lambda c: (c[0], min(c[0], c[1]), c[2], min(c[2], c[3]))
)
STEP = StepInfo(0.0, 3, 900, min_samples=20)


def course(seen: Sequence[tuple[int, int, int, int]], specs: Specs) -> list[Verdict]:
    state, said = judge.new_state(specs, 60), []
    for at, (n_c, x_c, n_b, x_b) in enumerate(seen, 1):
        tick = Tick(float(at), ArmTick({"errors": Count(n_c, x_c)}), ArmTick({"errors": Count(n_b, x_b)}))
        state, _ = judge.update(state, tick, specs)
        said.append(judge.verdict(state, specs, STEP, float(at)))
    return said


@settings(max_examples=200, deadline=None)
@given(st.lists(counts, min_size=1, max_size=20), st.data())
def test_a_bad_answer_more_of_the_new_release_never_helps_it(
    seen: list[tuple[int, int, int, int]], data: st.DataObject
) -> None:
    room = [i for i, (n_c, x_c, _, _) in enumerate(seen) if x_c < n_c]
    if not room:
        return
    at = data.draw(st.sampled_from(room))
    n_c, x_c, n_b, x_b = seen[at]
    specs = known(0.01)
    better, worse = course(seen, specs), course([*seen[:at], (n_c, x_c + 1, n_b, x_b), *seen[at + 1 :]], specs)
    for good, bad in zip(better, worse, strict=True):
        assert bad.readings[0].ln_worse >= good.readings[0].ln_worse - 1e-9
        assert bad.readings[0].ln_guard >= good.readings[0].ln_guard - 1e-9
        assert bad.readings[0].ln_safe <= good.readings[0].ln_safe + 1e-9
        assert good.word is Word.ACCEPT or bad.word is not Word.ACCEPT
        assert bad.failure or not good.failure
