"""How bursty errors are: measured on two halves, common causes cancelled."""

import numpy as np
import pytest
from scipy import stats

from soc_deploy_mcp.actions.deploy.judge import Count, k_hat
from soc_deploy_mcp.actions.deploy.judge.dispersion import _chi2_low


def ticks(
    burst: int, *, count: int = 600, rate: float = 0.01, shared: float = 0.0, seed: int = 1
) -> list[tuple[Count, Count]]:
    rng = np.random.default_rng(seed)
    outage = np.where(rng.random(count) < 0.1, shared, 0.0)
    halves = []
    for _ in range(2):
        n = rng.poisson(100, count)
        x = np.minimum(n, burst * rng.poisson(n * (rate + outage) / burst))
        halves.append([Count(int(a), int(b)) for a, b in zip(n, x, strict=True)])
    return list(zip(*halves, strict=True))


@pytest.mark.parametrize("burst", [1, 2, 5, 10])
def test_k_is_the_size_of_the_bursts(burst: int) -> None:
    found = k_hat(ticks(burst))
    assert found is not None
    assert found.k == pytest.approx(burst, rel=0.3)
    assert found.upper >= found.k


@pytest.mark.parametrize("burst", [1, 2, 5])
def test_the_upper_bound_holds_in_nine_of_ten(burst: int) -> None:
    bounds = [k.upper for seed in range(100) if (k := k_hat(ticks(burst, count=300, seed=seed))) is not None]
    assert len(bounds) == 100
    assert sum(upper >= burst for upper in bounds) >= 85


def test_an_outage_that_both_halves_share_is_no_burst() -> None:
    found = k_hat(ticks(1, shared=0.3))
    assert found is not None
    assert found.k < 1.3


def test_too_few_bad_requests_are_unknown() -> None:
    assert k_hat([]) is None
    assert k_hat([(Count(100, 20), Count(100, 20))]) is None
    assert k_hat([(Count(100, 30), Count(100, 30))]) is not None
    assert k_hat([(Count(0, 0), Count(100, 60))]) is None


def test_k_is_capped() -> None:
    found = k_hat([(Count(1000, 500), Count(1000, 0))] * 10)
    assert found is not None
    assert (found.k, found.upper) == (20.0, 20.0)


@pytest.mark.parametrize("degrees", [1, 5, 30, 500])
def test_the_chi_squared_point_is_scipys(degrees: int) -> None:
    assert _chi2_low(degrees) == pytest.approx(stats.chi2.ppf(0.1, degrees), rel=0.02, abs=0.06)
