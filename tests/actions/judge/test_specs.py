"""Rules from settings and measurements: what each metric is held to, who is waited for, what it may cost."""

import json
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from soc_deploy_mcp.actions.deploy import judge
from soc_deploy_mcp.actions.deploy.judge import Count, Measured, MetricSpec, Specs, Stage
from soc_deploy_mcp.actions.deploy.judge.measured import upper_rate
from soc_deploy_mcp.core.config.settings import CustomCheck, HealthChecks, JudgeSettings
from tests.actions.judge.build import CANARY, EVERYBODY, MEASURED, PROBED, rules

unhurried = settings(deadline=None)  # the machine may be busy
STEPS = tuple(Stage(w, w < 100, 60, 900) for w in (5, 25, 50, 100))


def metric(specs: Specs, name: str) -> MetricSpec:
    return next(m for m in specs.metrics if m.name == name)


@pytest.mark.parametrize(("weight", "rate"), [(5, 0.01), (25, 0.008), (50, 0.004), (100, 0.002)])
def test_what_a_step_may_cost_falls_with_its_weight(weight: int, rate: float) -> None:
    stage = next(s for s in STEPS if s.weight == weight)
    assert metric(rules(stage=stage, stages=STEPS), "errors").theta_ok == pytest.approx(rate)


def test_nobody_is_held_back_for_what_the_old_release_does_too() -> None:
    bad = replace(MEASURED, before={"errors": Count(100_000, 2000), "latency": Count(100_000, 4000)})
    specs = rules(measured=bad, stages=STEPS, stage=STEPS[-1])
    assert metric(specs, "errors").theta_ok == pytest.approx(0.04)
    assert metric(specs, "latency").theta_ok == pytest.approx(0.08)
    assert metric(specs, "errors").abort_above == pytest.approx(1.5 * 0.02, rel=0.1)


def test_the_guard_stands_at_ten_times_the_target() -> None:
    specs = rules()
    assert metric(specs, "errors").abort_above == pytest.approx(0.01)
    assert metric(specs, "latency_slo").abort_above == pytest.approx(0.1)


@pytest.mark.parametrize("synthetic", [False, True])
@pytest.mark.parametrize("stages", [STEPS, STEPS[-1:]])
@pytest.mark.parametrize("checks", [(), (CustomCheck(name="q", gauge="q", critical=True),)])
def test_all_bets_together_are_one(synthetic: bool, stages: tuple[Stage, ...], checks: tuple[CustomCheck, ...]) -> None:
    specs = rules(stages=stages, stage=stages[-1], measured=PROBED, synthetic=synthetic, checks=checks)
    total = sum(m.relative_weight + m.guard_weight + m.gauge_weight for m in specs.metrics)
    assert total == pytest.approx(1.0)


def test_shares_are_the_same_in_every_step() -> None:
    shares = [
        [(m.name, m.relative_weight, m.guard_weight) for m in rules(stages=STEPS, stage=s).metrics] for s in STEPS
    ]
    assert shares[1:] == shares[:-1]


def test_unknown_bursts_are_allowed_for() -> None:
    unknown = rules(measured=replace(MEASURED, k={}))
    assert (metric(unknown, "errors").k_reject, metric(unknown, "errors").k_accept) == (2.0, 2.0)
    assert metric(unknown, "latency").k_reject == 5.0
    sticky = rules(measured=replace(MEASURED, k={}, bursty=True))
    assert metric(sticky, "errors").k_accept == 5.0
    known = rules(measured=replace(MEASURED, k={"errors": 1.2}, bursty=True))
    assert metric(known, "errors").k_reject == 1.2


def test_probes_come_one_by_one() -> None:
    specs = rules(measured=replace(PROBED, k={}), synthetic=True)
    assert metric(specs, "synthetic_errors").k_accept == 1.0
    assert metric(specs, "synthetic_latency").k_accept == 5.0


def test_without_a_latency_bound_there_is_no_latency_metric() -> None:
    names = {m.name for m in rules(measured=replace(MEASURED, bounds_ms={})).metrics}
    assert names == {"errors"}


def test_a_check_of_the_users_own_is_held_to_the_error_target() -> None:
    checks = (CustomCheck(name="own", bad="b", total="t", required=True, critical=True),)
    own = metric(rules(checks=checks), "own")
    assert own.required
    assert own.theta_ok == pytest.approx(0.01)
    assert own.guard_weight > 0


def test_a_level_is_never_waited_for() -> None:
    checks = (CustomCheck(name="q", gauge="q", required=True),)
    assert not metric(rules(checks=checks), "q").required


# --- probes


def test_probes_stand_in_for_users_who_are_too_few() -> None:
    specs = rules(measured=PROBED, synthetic=True)
    required = {m.name for m in specs.metrics if m.required}
    assert required == {"synthetic_errors", "synthetic_latency"}


def test_users_errors_are_still_waited_for_where_they_are_enough() -> None:
    """Their latency is not: the router times probes and users alike."""
    many = replace(MEASURED, before={**MEASURED.before, **PROBED.before}, bounds_ms=PROBED.bounds_ms)
    specs = rules(measured=many, synthetic=True)
    assert {m.name for m in specs.metrics if m.required} == {"errors", "synthetic_errors", "synthetic_latency"}
    assert metric(specs, "latency").relative_weight > 0  # it still counts against the release


def test_probes_are_only_additional_where_users_say_it_all() -> None:
    many = replace(MEASURED, bounds_ms={}, before={**MEASURED.before, **PROBED.before})
    specs = rules(measured=many, synthetic=True)
    assert {m.name for m in specs.metrics if m.required} == {"errors"}
    assert metric(specs, "synthetic_errors").relative_weight > 0


def test_one_weak_metric_is_enough_to_ask_probes() -> None:
    """At 100 rps latency can be accepted at 5 %, errors near their target cannot."""
    chosen, targets = JudgeSettings(), HealthChecks()
    weak = replace(MEASURED, rps=20.0, before={"errors": Count(72_000, 72), "latency": Count(72_000, 720)}, k={})
    assert judge.probes_wanted(chosen, targets, weak, STEPS)
    assert not judge.probes_wanted(chosen.model_copy(update={"synthetic": "off"}), targets, weak, STEPS)
    assert not judge.probes_wanted(chosen, targets, MEASURED, STEPS)
    assert judge.probes_wanted(chosen.model_copy(update={"synthetic": "on"}), targets, MEASURED, STEPS)
    assert judge.probes_wanted(chosen, targets, Measured(), STEPS)


def test_some_metric_is_required_whatever_was_measured() -> None:
    for measured in (Measured(), PROBED, MEASURED):
        for synthetic in (False, True):
            for stage in STEPS:
                specs = rules(measured=measured, stages=STEPS, stage=stage, synthetic=synthetic)
                assert any(m.required for m in specs.metrics)


# --- cost


def test_a_rollout_may_cost_its_share_of_the_budget() -> None:
    specs = rules()
    assert specs.budget == pytest.approx(1e6)
    assert specs.cost_cap == pytest.approx(20_000)


def test_without_history_it_may_cost_five_and_one_in_a_thousand() -> None:
    specs = rules(measured=replace(MEASURED, requests_30d=None), stages=(CANARY, EVERYBODY))
    assert specs.budget is None
    assert specs.cost_cap == pytest.approx(5 + 0.001 * 1000 * (0.1 * 10 + 1.0 * 10))


def test_the_longest_rollout_in_ticks() -> None:
    chosen = JudgeSettings(tick="5s")
    assert judge.planned_ticks(chosen, STEPS) == 720
    assert judge.planned_ticks(chosen, STEPS, extended=True) == 1440


# --- what is measured


@unhurried
@given(st.integers(1, 10**6), st.data())
def test_the_upper_bound_is_wilsons(n: int, data: st.DataObject) -> None:
    x = data.draw(st.integers(0, n))
    expected = stats.binomtest(x, n).proportion_ci(0.90, method="wilson").high  # two-sided 90 %: one-sided 95 %
    assert upper_rate(Count(n, x)) == pytest.approx(expected, abs=1e-9)


def test_the_latency_bound_is_the_smallest_that_holds_the_percentile() -> None:
    buckets = [(10.0, 500), (25.0, 900), (50.0, 955), (100.0, 990), (inf, 1000)]
    assert judge.latency_bound(buckets, 95) == 50.0
    assert judge.latency_bound(buckets, 50) == 25.0  # never below 25 ms
    assert judge.latency_bound(buckets, 99) == 100.0
    assert judge.latency_bound([(10.0, 1), (inf, 100)], 95) is None
    assert judge.latency_bound([(10.0, 0), (inf, 0)], 95) is None
    assert judge.latency_bound([], 95) is None


def test_what_was_measured_survives_the_journal() -> None:
    for measured in (Measured(), MEASURED, PROBED):
        assert Measured.from_json(json.loads(json.dumps(measured.to_json()))) == measured
