"""The regression rules about judgement, time and checks: each is what another tool got wrong once."""

from dataclasses import replace
from pathlib import Path

import pytest

from soc_deploy_mcp.actions.deploy.judge import Word
from soc_deploy_mcp.core.config import STRATEGIES, Strategy
from soc_deploy_mcp.core.event import ErrorSeen, EvidenceSeen, GoingBack, State, StepStarted, payload
from soc_deploy_mcp.core.evidence import CheckState, Facts
from soc_deploy_mcp.personas.checks import REGISTRY, Case
from tests.actions.deploy.kills import Kill, Reach
from tests.actions.deploy.scene import Scene, settings
from tests.actions.deploy.told import at, facts, paused, pauses, recording, say, shares, told
from tests.actions.judge.build import STEP, arm, play, tick, words
from tests.engine.virtual import run_virtual
from tests.fakes.platform import Behaviour
from tests.personas.stage import Ended, Stage, deploy, on_stage, without

BAD = Behaviour(errors=0.05)
HOUR = 3600.0


def scene(path: Path, **how: object) -> Scene:
    return Scene(recording(), path / "journal.db", **how)  # type: ignore[arg-type]


# --- R4: a sick old release

SICK = {"errors": Behaviour(errors=0.4), "slow": Behaviour(slow=0.9)}


@pytest.mark.parametrize("how", SICK)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_r04_a_sick_old_release_does_not_stop_the_fix_for_it(tmp_path: Path, strategy: Strategy, how: str) -> None:
    """R4: health of the old release is no precondition to roll forward."""
    ended = told(tmp_path, strategy=strategy, old_behaviour=SICK[how])
    assert ended.state is State.SUCCEEDED, pauses(ended)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_r04_where_nobody_answers_the_plan_gives_everybody_to_the_fix(tmp_path: Path, strategy: Strategy) -> None:
    """R4: no share can be left with a release of which nothing is ready."""

    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        stage.platform.behaviours["v1.0.0"].never_ready = True
        return await stage.walked(deploy(dry_run=True).model_copy(update={"strategy": strategy}))

    ended = on_stage(tmp_path, story)
    moved = strategy in ("canary", "rolling")
    assert ended.plan.strategy == ("blue-green" if moved else strategy)
    assert ("v1.0.0 answers nobody" in str(ended.plan.advice.risks)) is moved
    assert "answers nobody now" in ended.plan.way_back.why


@pytest.mark.parametrize("strategy", ["blue-green", "recreate"])
def test_r04_an_old_release_that_is_down_does_not_stop_the_fix_for_it(tmp_path: Path, strategy: Strategy) -> None:
    """R4: nothing of it is ready any more; users are not returned to it by the dead-man timer either."""

    async def main() -> State:
        world = scene(tmp_path, strategy=strategy)
        await world.prepare()
        world.platform.behaviours["v1.0.0"].never_ready = True
        async with world.store() as store, world.node(store) as node:
            state = await world.play(node)
            assert "dead-man" not in [verb for _, verb, *_ in world.platform.history]
            assert not any(world.platform.fallback.values())
            return state

    assert run_virtual(main()) is State.SUCCEEDED


# --- R9 to R12: time and judgement


def test_r09_a_restart_does_not_move_the_deadline_of_a_step(tmp_path: Path) -> None:
    """R9: one absolute deadline per step, however often its owner dies."""
    slow = settings().model_copy(
        update={"spec": settings().spec.model_copy(update={"health": settings().spec.health.model_copy(
            update={"start_timeout_s": 100.0})})}
    )  # fmt: skip
    how = {"settings": slow, "new_behaviour": Behaviour(never_ready=True)}
    kills = [Kill(16, "after"), *(Kill(4, "after") for _ in range(3))]
    ended = told(tmp_path, kills=kills, gap_s=40.0, **how)
    assert ended.state is State.FAILED_NO_CHANGE
    step = next(s for s in ended.world.plan().steps if s.key == "canary/start")
    times = {type(payload(r)): r.at for r in reversed(ended.records)}
    spent = times[ErrorSeen] - times[StepStarted]
    assert len(ended.counts) > 3
    assert spent <= step.deadline_s + 40.0 + 5.0, ended.counts


def test_r09_restarts_of_the_new_release_are_counted(tmp_path: Path) -> None:
    """R9: each start that nobody asked for is a crash, also when it is ready again at once."""
    ended = told(tmp_path, new_behaviour=Behaviour(start_s=0.01, crash_after_s=40.0))
    assert ended.state is State.ROLLED_BACK
    assert next(f.code for f in facts(ended) if isinstance(f, GoingBack)).startswith("CRASH")


@pytest.mark.parametrize("exit_", ["nobody comes", "abort", "resume"])
def test_r10_inconclusive_never_goes_forward_and_is_never_stuck(tmp_path: Path, exit_: str) -> None:
    """R10: inconclusive never promotes and always has an exit."""

    async def people(reach: Reach) -> None:
        if exit_ != "nobody comes" and await reach.until(paused):
            await say(reach, exit_)

    def nobody_visits(scene: Scene) -> None:
        scene.platform.rps = 0.0

    unseen = settings().model_copy(
        update={
            "judge": settings().judge.model_copy(update={"synthetic": "off", "allow_blind": True}),
            "deploy": settings().deploy.model_copy(update={"pause_expires": 60.0}),
        }
    )
    ended = told(tmp_path, people, setting=nobody_visits, settings=unseen)
    assert ended.state is State.ROLLED_BACK
    assert set(pauses(ended)) == {"inconclusive"}
    assert len(pauses(ended)) == (2 if exit_ == "resume" else 1)
    assert max(shares(ended)) == 10


@pytest.mark.parametrize(("new", "old", "accepted"), [(2, 900, False), (900, 2, False), (100, 900, True)])
def test_r11_a_pass_needs_requests_of_both_releases(new: int, old: int, accepted: bool) -> None:
    """R11: PASS needs ≥ min samples in both arms."""
    step = replace(STEP, min_samples=500)
    said = play([tick(float(t), arm(new), arm(old)) for t in range(1, 40)], step=step)[1]
    assert (Word.ACCEPT in words(said)) is accepted


@pytest.mark.parametrize("where", ["a share", "everybody", "bake", "pause"])
def test_r12_the_judge_looks_wherever_the_new_release_has_users(tmp_path: Path, where: str) -> None:
    """R12: the judge runs in every state with weight > 0, also while somebody made the run stand still."""

    async def turns_bad(reach: Reach) -> None:
        if await at(reach, where):
            reach.world.platform.behaviours["v1.1.0"].errors = 0.3

    ended = told(tmp_path, turns_bad)
    assert ended.state is State.ROLLED_BACK
    assert next(f.by for f in facts(ended) if isinstance(f, GoingBack)) == "judge"


# --- R19: checks


def test_r19_a_check_whose_evidence_is_missing_has_not_passed(tmp_path: Path) -> None:
    """R19: a check needs positive evidence; a job that never ran is not success, and a required one closes the gate."""
    asked = deploy(auto_approve=True)

    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        return await stage.walked(asked)

    whole = on_stage(tmp_path, story)
    seen = [fact.evidence for fact in whole.all(EvidenceSeen)]
    now = whole.records[-1].at
    for id_ in REGISTRY:
        check = whole.check(id_)
        assert check is not None, id_
        kinds = {e.kind for e in seen if e.id in check.evidence}
        case = Case(asked, whole.plan, Facts([e for e in seen if e.kind not in kinds], now), required=True)
        again = REGISTRY[id_][1](case)
        assert (again.state, again.blocks) == (CheckState.NOT_RUN, True), id_
        assert again.reason


@pytest.mark.parametrize("kind", ["observation", "permission", "migrations", "rollback_target", "capacity"])
def test_r19_a_job_that_never_ran_closes_the_gate(tmp_path: Path, kind: str) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        stage.spoil = without(kind)
        ended = await stage.walked(deploy(auto_approve=True))
        assert stage.reached == []
        return ended

    assert on_stage(tmp_path, story).state is State.FAILED_NO_CHANGE


def test_r19_tests_that_never_ran_close_the_gate(tmp_path: Path) -> None:
    async def nothing(plan: object) -> tuple[()]:
        return ()

    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        stage._tests = nothing  # type: ignore[method-assign,assignment]
        ended = await stage.walked(deploy(auto_approve=True))
        assert stage.reached == []
        return ended

    ended = on_stage(tmp_path, story)
    assert ended.state is State.FAILED_NO_CHANGE
    assert ended.boxes["All tests"].startswith("[ ]")
