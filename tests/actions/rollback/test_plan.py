"""The steps of a way back by hand: which path, in which order, and what it never waits for."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from soc_deploy_mcp.actions.deploy.readers import Gathered
from soc_deploy_mcp.actions.rollback.plan import plan
from soc_deploy_mcp.core.config import Settings, Strategy
from soc_deploy_mcp.core.plan import Confirm, Drain, Ensure, Op, Plan, Remove, Shift, SmokeTest, Verify
from tests.actions.deploy.scene import settings, target
from tests.actions.rollback.past import SETTINGS, Past, asked, in_the_past

STRATEGIES: tuple[Strategy | None, ...] = (None, "blue-green", "rolling", "recreate")


def planned(strategy: Strategy | None = None, *, hot: bool = False, made: Settings = SETTINGS) -> Plan:
    """From v1.1.0 back to v1.0.0."""

    async def story(past: Past) -> Plan:
        await past.deployed("v1.0.0")
        await past.deployed("v1.1.0")
        if hot:
            await past.kept_hot("v1.0.0")
        return plan(asked(strategy=strategy), await past.gathered())

    return in_the_past(story, made)


def rows(made: Plan) -> list[str]:
    return [step.row for step in made.steps]


def ops(made: Plan) -> Iterator[Op]:
    return (op for step in made.steps for op in step.ops)


def test_the_default_is_a_flip_after_the_release_was_started_and_smoke_tested() -> None:
    assert rows(planned()) == [
        *("Resolve rollback target (v1.0.0)", "Start v1.0.0", "Run smoke tests", "Switch traffic"),
        *("Verify production health", "Drain and stop v1.1.0", "Incident report"),
    ]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_release_that_still_runs_is_one_router_write_away_whatever_was_typed(strategy: Strategy | None) -> None:
    made = planned(strategy, hot=True)
    assert made.hot
    assert not [op for op in ops(made) if isinstance(op, Ensure)]
    assert [op.new for op in ops(made) if isinstance(op, Shift)] == [100]


def test_recreate_stops_the_bad_release_first_and_lets_requests_wait() -> None:
    made = planned("recreate")
    assert rows(made)[1:4] == ["Stop v1.1.0", "Start v1.0.0", "Run smoke tests"]
    assert next(op for op in ops(made) if isinstance(op, Shift)).hold


def test_rolling_replaces_instance_by_instance() -> None:
    assert [row for row in rows(planned("rolling")) if row.startswith("Replace")] == [
        f"Replace instance {n}/3" for n in (1, 2, 3)
    ]


def test_rolling_back_measures_nobody_and_has_no_row_for_it() -> None:
    assert not [row for row in rows(planned("rolling")) if row.startswith("Measure")]


def test_when_nothing_serves_there_is_nothing_to_stop() -> None:
    async def story(past: Past) -> Plan:
        first = await past.deployed("v1.0.0")
        past.readers.happened(first, "retired")
        past.platform.weights = {}
        await past.platform.remove(target(), first.slug, past.platform.epoch)
        return plan(asked("v1.0.0"), await past.gathered("v1.0.0"))

    assert "Drain and stop" not in " ".join(rows(in_the_past(story)))


def test_a_release_that_serves_everybody_already_leaves_nothing_to_do() -> None:
    async def story(past: Past) -> Plan:
        await past.deployed("v1.0.0")
        return plan(asked("v1.0.0"), await past.gathered("v1.0.0"))

    assert in_the_past(story).no_change


@pytest.mark.parametrize("hot", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_path_waits_for_evidence_and_none_skips_the_smoke_test(strategy: Strategy | None, hot: bool) -> None:
    made = planned(strategy, hot=hot)
    kinds = [op.kind for op in ops(made)]
    assert not set(kinds) & {"judge", "baseline", "bake", "stable", "migrate"}
    assert all(not op.accept and op.max_s == op.window_s for op in ops(made) if isinstance(op, Verify))
    assert kinds.index("smoke") < min(i for i, op in enumerate(ops(made)) if isinstance(op, Shift) and op.new)
    assert kinds[-1] == "incident"
    assert kinds.count("verify") == 1


@pytest.mark.parametrize("hot", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_step_has_a_deadline_a_verification_and_an_undo(strategy: Strategy | None, hot: bool) -> None:
    made = planned(strategy, hot=hot)
    assert all(step.deadline_s > 0 and step.verification and step.undo for step in made.steps)
    assert len({step.key for step in made.steps}) == len(made.steps)


@examples(max_examples=60, deadline=None)
@given(st.sampled_from(STRATEGIES), st.booleans(), st.integers(1, 9), st.integers(0, 4), st.integers(0, 4))
def test_capacity_comes_before_traffic_and_traffic_goes_before_capacity(
    strategy: Strategy | None, hot: bool, instances: int, surge: int, missing: int
) -> None:
    """The steps, done one after the other on paper."""
    if surge + missing == 0:
        surge = 1
    rolling = f"environments: {{prod: {{deploy: {{rolling: {{max_surge: {surge}, max_unavailable: {missing}}}}}}}}}\n"
    base = settings(rolling)
    made = planned(
        strategy, hot=hot, made=base.model_copy(update={"spec": base.spec.model_copy(update={"instances": instances})})
    )
    new, old, weight, smoked, held = instances if hot else 0, instances, 0, False, False
    for op in ops(made):
        match op:
            case Ensure(side="new", instances=n):
                new = n
            case Ensure(side="old", instances=n):
                assert n or weight == 100 or held
                old = n
            case SmokeTest():
                assert new
                smoked = True
            case Shift(new=share, hold=hold):
                assert not share or (smoked and new)
                assert share == 100 or hold or old
                weight, held = share, hold
            case Confirm(new=share):
                assert share == weight
            case Drain(side="old") | Remove(side="old"):
                assert weight == 100 or held
                old = 0
            case _:
                pass
    assert (weight, old, held) == (100, 0, False)
    assert new >= instances


# --- what the plan says


def test_the_way_back_of_a_way_back_is_the_release_before_it_and_not_the_one_that_is_left() -> None:
    async def story(past: Past) -> Plan:
        for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
            await past.deployed(version)
        return plan(asked(), await past.gathered())

    further = in_the_past(story).way_back
    assert further.release is not None
    assert further.release.version == "v1.0.0"


def test_what_does_not_come_back_is_named_before_it_is_asked_for() -> None:
    assert any(risk.startswith("not restored: data") for risk in planned().advice.risks)


def test_the_hash_covers_the_facts_and_not_what_was_estimated() -> None:
    async def story(past: Past, back_s: tuple[float, ...] = (), rps: float | None = None) -> Gathered:
        await past.deployed("v1.0.0")
        await past.deployed("v1.1.0")
        past.readers.back_s, past.readers.rps = back_s, rps
        return await past.gathered()

    first = plan(asked(), in_the_past(story))
    later = plan(asked(), in_the_past(lambda past: story(past, back_s=(7.0, 9.0), rps=50.0)))
    assert first.hash == later.hash
    assert (first.advice.back_basis, later.advice.back_s) == ("one router write and its confirmation", 9.0)
    assert planned(hot=True).hash != first.hash
    assert plan(asked(strategy="recreate"), in_the_past(story)).hash != first.hash


def test_a_dry_run_plans_what_the_real_run_does() -> None:
    async def story(past: Past, **how: Any) -> Plan:
        await past.deployed("v1.0.0")
        await past.deployed("v1.1.0")
        return plan(asked(**how), await past.gathered(**how))

    dry = in_the_past(lambda past: story(past, dry_run=True))
    assert dry.hash == in_the_past(story).hash
