"""What the plan promises about the judge: the smallest regression found, the time to acceptance."""

from dataclasses import replace

import pytest
from scipy import stats

from soc_deploy_mcp.actions.deploy import judge
from soc_deploy_mcp.actions.deploy.judge import Count, Power, Stage, Word
from soc_deploy_mcp.actions.deploy.judge.power import _at_most, _quantile, accept_chance, minimal_ratio, power
from tests.actions.judge.build import CANARY, MEASURED, PROBED, rules
from tests.actions.judge.simulate import Case, World, at_weight, play_many
from tests.actions.judge.simulate import rules as case_rules


def errors(rate: float, rps: float = 1000.0) -> judge.MetricSpec:
    n = 1_000_000
    known = replace(MEASURED, rps=rps, before={**MEASURED.before, "errors": Count(n, round(n * rate))})
    return rules(measured=known).metrics[0]


def test_more_requests_show_smaller_regressions() -> None:
    spec = errors(0.005)
    ratios = [minimal_ratio(spec, rps * 0.1, rps * 0.9, 900, 0.01) for rps in (20, 100, 1000)]
    assert all(r is not None for r in ratios)
    assert ratios == sorted(ratios, reverse=True)  # type: ignore[type-var]
    assert ratios[-1] < 2 < ratios[0]  # type: ignore[operator]


def test_without_requests_nothing_is_seen_and_nobody_is_accepted() -> None:
    assert power(errors(0.001), 0.0, 0.0, 900, 0.01, 0.05) == Power(None, None, 0.0)
    assert accept_chance(errors(0.001), 0, 0, 0.05) == 0.0


@pytest.mark.parametrize("mean", [0.0, 0.3, 7.0, 150.0, 5000.0])
def test_the_poisson_distribution_is_scipys(mean: float) -> None:
    for x in (-1, 0, 1, 7, 150, 5050):
        assert _at_most(x, mean) == pytest.approx(stats.poisson.cdf(x, mean), abs=0.01)
    assert _quantile(0.9, mean) == pytest.approx(stats.poisson.ppf(0.9, mean), abs=1)


@pytest.mark.parametrize("rate", [0.0, 0.0005, 0.001, 0.005])
def test_the_promised_chance_of_acceptance_is_kept(rate: float) -> None:
    """Against the judge itself; the promise may be modest, since a release has many ticks to be accepted in."""
    case = at_weight(Case(World(rps=150, errors=rate, slow=0.005)), 10, 400)
    (specs,) = case_rules(case)
    promised = accept_chance(specs.metrics[0], 150 * 0.1 * 400, 150 * 0.9 * 400, specs.beta)
    kept = sum(o.word is Word.ACCEPT for o in play_many(case, 60)) / 60
    assert promised - 0.12 <= kept <= promised + 0.35


def test_a_promised_regression_is_found() -> None:
    case = Case(World(rps=200, errors=0.005, slow=0.01))
    stage = Stage(10, True, 900, 900)
    (specs,) = case_rules(replace(case, stages=(stage,)))
    ratio = minimal_ratio(specs.metrics[0], 20, 180, 900, specs.alpha)
    assert ratio is not None
    worse = replace(case, stages=(stage,), world=replace(case.world, ratio=ratio, slow_new=0.01), go_on=True)
    found = sum(o.word in (Word.REJECT, Word.ABSOLUTE) for o in play_many(worse, 60)) / 60
    assert 0.65 <= found <= 1.0
    better = replace(worse, world=replace(worse.world, ratio=1 + (ratio - 1) / 2))
    assert sum(o.word in (Word.REJECT, Word.ABSOLUTE) for o in play_many(better, 40)) / 40 < found


def test_the_plan_gets_figures_for_each_metric_of_a_stage() -> None:
    from soc_deploy_mcp.core.config.settings import JudgeSettings

    settings = JudgeSettings(synthetic_rate=50)
    users = judge.stage_power(rules(), settings, MEASURED, CANARY)
    assert users["errors"].accept_chance > 0.99
    assert users["errors"].accept_s is not None
    few = judge.stage_power(rules(measured=PROBED, synthetic=True), settings, PROBED, CANARY)
    assert few["errors"].accept_s is None
    assert few["errors"].accept_chance < 0.2
    assert few["synthetic_errors"].accept_chance > 0.99
