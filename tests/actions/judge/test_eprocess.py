"""The tests' error bounds, by enumerating every outcome; their algebra, by properties; their numbers, by scipy."""

from itertools import product
from math import comb, exp, inf, isclose, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp

from soc_deploy_mcp.actions.deploy.judge import eprocess as e

SLACK = 1 + 1e-12
unhurried = settings(deadline=None)  # the machine may be busy
WORSE = e.worse_ratios(1.25)
BETTER = e.better_ratios(2.0)


def pmf(n: int, x: int, rate: float) -> float:
    return comb(n, x) * rate**x * (1 - rate) ** (n - x)


def both(n_c: int, n_b: int, rate_c: float, rate_b: float):
    for x_c, x_b in product(range(n_c + 1), range(n_b + 1)):
        yield x_c, x_b, pmf(n_c, x_c, rate_c) * pmf(n_b, x_b, rate_b)


# --- the bound, outcome by outcome


@pytest.mark.parametrize("k", [1.0, 1.5, 4.0])
@pytest.mark.parametrize(("n_c", "n_b"), [(1, 1), (1, 12), (3, 9), (7, 7), (12, 2)])
@pytest.mark.parametrize("rate_b", [0.0, 0.001, 0.05, 0.3, 0.8])
@pytest.mark.parametrize("share", [0.2, 1.0])
def test_no_release_up_to_r0_is_expected_to_look_worse(
    n_c: int, n_b: int, rate_b: float, share: float, k: float
) -> None:
    rate_c = min(1.0, 1.25 * rate_b * share)
    expected = [0.0] * len(WORSE)
    for x_c, x_b, p in both(n_c, n_b, rate_c, rate_b):
        for i, value in enumerate(e.compare(WORSE, 1.25, n_c, x_c, n_b, x_b, k)):
            expected[i] += p * exp(value)
    assert max(expected) <= SLACK


@pytest.mark.parametrize("k", [1.0, 2.0])
@pytest.mark.parametrize(("n_c", "n_b"), [(1, 5), (4, 8), (12, 3)])
@pytest.mark.parametrize("rate_b", [0.0, 0.01, 0.2, 0.5])
@pytest.mark.parametrize("ratio", [2.0, 2.5, 4.0])
def test_no_release_from_r_bad_on_is_expected_to_look_good_enough(
    n_c: int, n_b: int, rate_b: float, ratio: float, k: float
) -> None:
    rate_c = min(1.0, ratio * rate_b)
    if rate_c < 2 * rate_b:
        return  # no rate above 1 exists, so this pair is not in the hypothesis
    expected = [0.0] * len(BETTER)
    for x_c, x_b, p in both(n_c, n_b, rate_c, rate_b):
        for i, value in enumerate(e.compare(BETTER, 2.0, n_c, x_c, n_b, x_b, k)):
            expected[i] += p * exp(value)
    assert max(expected) <= SLACK


def test_a_worse_release_is_expected_to_look_worse() -> None:
    expected = [0.0] * len(WORSE)
    for x_c, x_b, p in both(6, 9, 0.3, 0.1):
        for i, value in enumerate(e.compare(WORSE, 1.25, 6, x_c, 9, x_b, 1.0)):
            expected[i] += p * exp(value)
    assert max(expected) > 1.05


@pytest.mark.parametrize("theta", [0.001, 0.01, 0.1, 0.6])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("k", [1.0, 1.5])
def test_the_guard_expects_nothing_of_a_rate_below_its_bound(theta: float, share: float, k: float) -> None:
    rates = e.rates_above(theta)
    for i in range(len(rates)):
        expected = sum(pmf(10, x, theta * share) * exp(e.alone(rates, 10, x, k)[i]) for x in range(11))
        assert expected <= SLACK


@pytest.mark.parametrize("theta", [0.002, 0.01, 0.1, 0.6])
@pytest.mark.parametrize("rate", [1.0, 1.3, 1.6])
@pytest.mark.parametrize("base", [None, 0.0, 0.5])
def test_low_enough_expects_nothing_of_a_rate_above_its_bound(theta: float, rate: float, base: float | None) -> None:
    base_rate = None if base is None else base * theta
    expected = sum(pmf(10, x, theta * rate) * exp(e.ln_low_enough(theta, base_rate, 10, x, 1.0)) for x in range(11))
    assert expected <= SLACK


@pytest.mark.parametrize("blocks", [1, 5, 12])
@pytest.mark.parametrize("chance", [0.1, 0.4, 0.5])
def test_signs_of_a_fair_coin_prove_nothing(blocks: int, chance: float) -> None:
    expected = sum(pmf(blocks, above, chance) * exp(e.ln_signs(above, blocks - above)) for above in range(blocks + 1))
    assert expected <= SLACK


def test_signs_prove_what_the_table_says() -> None:
    assert round(exp(e.ln_signs(9, 0))) == 106
    assert round(exp(e.ln_signs(12, 2))) == 23
    assert e.ln_signs(0, 0) == pytest.approx(0.0)


@pytest.mark.parametrize("planned", [1, 2, 3, 5])
def test_a_mixture_over_three_ticks_stays_within_its_bound(planned: int) -> None:
    n, theta = 2, 0.2
    rates = e.rates_above(theta)
    expected = 0.0
    for xs in product(range(n + 1), repeat=3):
        mixture = e.fresh(len(rates))
        for x in xs:
            mixture = e.grow(mixture, e.alone(rates, n, x, 1.0), planned)
        p = pmf(n, xs[0], theta) * pmf(n, xs[1], theta) * pmf(n, xs[2], theta)
        expected += p * exp(e.ln_e(mixture, planned))
    assert expected <= SLACK
    assert isclose(expected, 1.0, abs_tol=0.2)


# --- the mixture over the start


@unhurried
@given(st.integers(1, 5000), st.data())
def test_the_bet_over_starts_is_spent_exactly_once(planned: int, data: st.DataObject) -> None:
    tick = data.draw(st.integers(0, planned))
    placed = sum(e.start_mass(t, planned) for t in range(1, tick + 1))
    assert placed + e.not_started(tick, planned) == pytest.approx(1.0)
    assert e.start_mass(planned + 1, planned) == 0.0
    assert e.not_started(planned + 7, planned) == 0.0


increments = st.lists(st.lists(st.floats(-400, 400), min_size=3, max_size=3), min_size=1, max_size=30)


def in_logs(ticks: list[list[float]], planned: int) -> float:
    """The recursion of the design, written in logarithms throughout."""
    logs = [-inf] * 3
    for t, values in enumerate(ticks, 1):
        start = e.start_mass(t, planned)
        logs = [(logsumexp([a, log(start)]) if start > 0 else a) + v for a, v in zip(logs, values, strict=True)]
    left = e.not_started(len(ticks), planned)
    mean = logsumexp(logs) - log(3)
    return float(logsumexp([mean, log(left)]) if left > 0 else mean)


@unhurried
@given(increments, st.integers(1, 60))
def test_scaled_masses_give_what_logarithms_give(ticks: list[list[float]], planned: int) -> None:
    mixture = e.fresh(3)
    for values in ticks:
        mixture = e.grow(mixture, values, planned)
    expected = in_logs(ticks, planned)
    found = e.ln_e(mixture, planned)
    # Beyond 10^300 starts are lost, which only slows; what is left of a mass near 10^-323 is rounded, to its double
    # at most.
    assert found <= expected + log(2)
    if max(abs(v) for values in ticks for v in values) < 20:
        assert found == pytest.approx(expected, abs=1e-9)


@unhurried
@given(st.lists(st.sampled_from([0.0, 3.0, -5.0]), min_size=1, max_size=40))
def test_a_tick_without_events_is_a_tick_with_ratios_of_one(pattern: list[float]) -> None:
    short, long = e.fresh(2), e.fresh(2)
    for value in pattern:
        short = e.rest(short, 50) if value == 0.0 else e.grow(short, [value, value / 2], 50)
        long = e.grow(long, [value, value / 2], 50)
    assert e.ln_e(short, 50) == pytest.approx(e.ln_e(long, 50), abs=1e-9)


def test_evidence_beyond_any_float_comes_and_goes() -> None:
    mixture = e.fresh(2)
    for _ in range(50):
        mixture = e.grow(mixture, [300.0, 900.0], 1000)
    assert e.ln_e(mixture, 1000) == pytest.approx(45_000, rel=1e-3)
    for _ in range(60):
        mixture = e.grow(mixture, [-2000.0, -900.0], 1000)
    assert e.ln_e(mixture, 1000) < 0
    mixture = e.grow(mixture, [40.0, 40.0], 1000)
    assert e.ln_e(mixture, 1000) > 25  # it can still bet on a new start


def test_what_is_dropped_is_forgotten_and_the_test_goes_on() -> None:
    mixture = e.grow(e.fresh(2), [50.0, 60.0], 100)
    mixture = e.dropped(mixture)
    assert e.ln_e(mixture, 100) < 0
    assert e.ln_e(e.grow(mixture, [50.0, 60.0], 100), 100) > 40


# --- algebra of the comparison

arms = st.tuples(st.integers(1, 500), st.integers(1, 5000)).flatmap(
    lambda n: st.tuples(st.just(n[0]), st.integers(0, n[0]), st.just(n[1]), st.integers(0, n[1]))
)


@unhurried
@given(arms, st.integers(2, 4))
def test_a_tick_cut_in_pieces_of_equal_shape_says_the_same(counts: tuple[int, int, int, int], parts: int) -> None:
    n_c, x_c, n_b, x_b = counts
    whole = e.compare(WORSE, 1.25, n_c * parts, x_c, n_b * parts, x_b, 1.5)
    first = e.compare(WORSE, 1.25, n_c, min(x_c, n_c), n_b, min(x_b, n_b), 1.5)
    others = e.compare(WORSE, 1.25, n_c * (parts - 1), 0, n_b * (parts - 1), 0, 1.5)
    assert whole == pytest.approx([a + b for a, b in zip(first, others, strict=True)], abs=1e-9)


@unhurried
@given(arms, st.floats(1.3, 50))
def test_swapping_the_releases_inverts_the_ratio(counts: tuple[int, int, int, int], r: float) -> None:
    n_c, x_c, n_b, x_b = counts
    (as_is,) = e.compare([(r, log(r / 1.25))], 1.25, n_c, x_c, n_b, x_b, 1.0)
    (swapped,) = e.compare([(1 / r, log(1.25 / r))], 1 / 1.25, n_b, x_b, n_c, x_c, 1.0)
    assert as_is == pytest.approx(swapped, abs=1e-6, rel=1e-9)


@unhurried
@given(arms)
def test_a_bad_request_of_the_new_release_never_speaks_for_it(counts: tuple[int, int, int, int]) -> None:
    n_c, x_c, n_b, x_b = counts
    for ratios, limit, sign in ((WORSE, 1.25, 1), (BETTER, 2.0, -1)):
        now = e.compare(ratios, limit, n_c, x_c, n_b, x_b, 1.0)
        more = e.compare(ratios, limit, n_c, x_c + 1, n_b, x_b, 1.0)
        assert all(sign * (b - a) > 0 for a, b in zip(now, more, strict=True))


@unhurried
@given(arms)
def test_a_bad_request_of_the_old_release_never_speaks_against_the_new_one(counts: tuple[int, int, int, int]) -> None:
    n_c, x_c, n_b, x_b = counts
    now = e.compare(WORSE, 1.25, n_c, x_c, n_b, x_b, 1.0)
    more = e.compare(WORSE, 1.25, n_c, x_c, n_b, x_b + 1, 1.0)
    assert all(b < a for a, b in zip(now, more, strict=True))


@unhurried
@given(arms, st.floats(1, 20))
def test_a_larger_k_only_slows(counts: tuple[int, int, int, int], k: float) -> None:
    one, many = e.compare(WORSE, 1.25, *counts, 1.0), e.compare(WORSE, 1.25, *counts, k)
    assert all(b == pytest.approx(a / k, abs=1e-9) for a, b in zip(one, many, strict=True))


@unhurried
@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_no_bad_request_is_no_evidence_either_way(n_c: int, n_b: int) -> None:
    assert e.compare(WORSE, 1.25, n_c, 0, n_b, 0, 1.0) == [0.0] * len(WORSE)


@unhurried
@given(arms)
def test_the_comparison_is_the_binomial_likelihood_ratio(counts: tuple[int, int, int, int]) -> None:
    n_c, x_c, n_b, x_b = counts
    for value, (r, _) in zip(e.compare(WORSE, 1.25, *counts, 1.0), WORSE, strict=True):
        q, q0 = n_c * r / (n_c * r + n_b), n_c * 1.25 / (n_c * 1.25 + n_b)
        total = x_c + x_b
        expected = stats.binom.logpmf(x_c, total, q) - stats.binom.logpmf(x_c, total, q0)
        assert value == pytest.approx(expected, abs=1e-6, rel=1e-6)


@unhurried
@given(st.floats(1e-4, 0.9), st.integers(0, 300), st.data())
def test_a_rate_alone_is_the_binomial_likelihood_ratio(theta: float, n: int, data: st.DataObject) -> None:
    x = data.draw(st.integers(0, n))
    top = max(4.0, 0.9 / theta)
    grid = [g for g in (min(0.98, theta * m) for m in e.spaced(2.0, top, 16)) if g > theta]
    for value, g in zip(e.alone(e.rates_above(theta), n, x, 1.0), grid, strict=True):
        expected = stats.binom.logpmf(x, n, g) - stats.binom.logpmf(x, n, theta)
        assert value == pytest.approx(expected, abs=1e-6, rel=1e-6)


# --- grids


@unhurried
@given(st.floats(1, 50))
def test_every_worse_ratio_is_worse_than_r0(r0: float) -> None:
    assert all(r > 1.1 * r0 and ln > 0 for r, ln in e.worse_ratios(r0))


@unhurried
@given(st.floats(1.01, 50))
def test_every_better_ratio_is_better_than_r_bad(r_bad: float) -> None:
    assert all(r < r_bad and ln < 0 for r, ln in e.better_ratios(r_bad))


@unhurried
@given(st.floats(1e-6, 1.0), st.none() | st.floats(0, 1))
def test_weights_of_the_rates_below_add_up(theta: float, base: float | None) -> None:
    weights = e.below_weights(theta, base)
    assert sum(weights) == pytest.approx(1.0)
    assert min(weights) > 0


def test_a_guard_near_certainty_has_nothing_to_prove() -> None:
    assert e.rates_above(0.99) == ()
    assert e.ln_e(e.fresh(0), 100) == 0.0
