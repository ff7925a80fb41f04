"""The regression rules about orders, judgement, locks and checks: each is what another tool got wrong once."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from soc_deploy_mcp.actions.deploy.judge import Word
from soc_deploy_mcp.core.config import STRATEGIES, Strategy
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import ErrorSeen, EvidenceSeen, GoingBack, PlanMade, State, StepStarted, payload
from soc_deploy_mcp.core.evidence import CheckState, Facts
from soc_deploy_mcp.engine.history import History
from soc_deploy_mcp.personas.checks import REGISTRY, Case
from tests.actions.deploy.kills import Kill, Reach
from tests.actions.deploy.scene import Scene, settings, target
from tests.actions.deploy.told import facts, meets, moments, only, pauses, platform, recording, shares, told, when
from tests.actions.judge.build import STEP, arm, play, tick, words
from tests.engine.virtual import run_virtual
from tests.fakes.killing import KillingStore, killed
from tests.fakes.platform import Behaviour
from tests.personas.stage import Ended, Stage, deploy, on_stage, without

BAD = Behaviour(errors=0.05)


def scene(path: Path, **how: object) -> Scene:
    return Scene(recording(), path / "journal.db", **how)  # type: ignore[arg-type]


# --- R1 to R4: orders


async def _at(reach: Reach, where: str) -> bool:
    match where:
        case "a share":
            return await when(reach, meets(10))
        case "everybody":
            return await when(reach, meets(100))
        case "bake":
            return await reach.until(lambda run: run.state is State.BAKING)
        case "on the way back":
            return await _at(reach, "a share") and await _say(reach, "abort")
        case _:
            return await _at(reach, "a share") and await _say(reach, "pause") and await reach.until(_paused)


def _paused(run: object) -> bool:
    return getattr(run, "state", None) is State.PAUSED


async def _say(reach: Reach, *names: str) -> bool:
    """One after the other, without a breath in between."""
    run, node = await reach.run(), await reach.node()
    assert run is not None
    for name in names:
        await node.runner.signal(run.id, name, {"reason": "changed my mind"}, "uid:1000")
    return True


@pytest.mark.parametrize("orders", [("abort",), ("promote", "abort"), ("abort", "promote", "resume")])
@pytest.mark.parametrize("where", ["a share", "everybody", "bake", "pause", "on the way back"])
def test_r01_an_abort_is_taken_everywhere_and_wins(tmp_path: Path, where: str, orders: tuple[str, ...]) -> None:
    """R1: abort is accepted in every non-terminal state and wins over promote. State by state: test_machine.py."""
    at: list[float] = []

    async def people(reach: Reach) -> None:
        if await _at(reach, where):
            at.append(reach.world.platform.clock.monotonic())
            await _say(reach, *orders)

    ended = told(tmp_path, people)
    assert ended.state is State.ROLLED_BACK
    after = [m.weight(ended.world.new.slug) for m in moments(ended) if m.verb != "probe" and m.at >= at[0]]
    assert after == sorted(after, reverse=True)
    assert platform(ended).weights == only(ended.world.old.slug)
    assert [f.by for f in facts(ended) if isinstance(f, GoingBack)] == ["uid:1000"]


@pytest.mark.parametrize("new", [Behaviour(), BAD])
def test_r02_an_abort_of_a_finished_run_changes_nothing(tmp_path: Path, new: Behaviour) -> None:
    """R2: abort on a terminal run is an explicit no-op. Its words: tests/interfaces/application."""

    async def main() -> tuple[list[object], list[object], int, int]:
        world = scene(tmp_path, new_behaviour=new)
        await world.prepare()
        async with world.store() as store, world.node(store) as node:
            await world.play(node)
            assert world.run is not None
            before, rows = list(world.platform.history), len(await node.journal.load(world.run))
            with pytest.raises(DeployError) as caught:
                await node.runner.signal(world.run, "abort", {"reason": "too late"}, "uid:1000")
            assert caught.value.code == "E_RUN_OVER"
            await asyncio.sleep(3600)
            return before, list(world.platform.history), rows, len(await node.journal.load(world.run))

    before, after, rows, rows_after = run_virtual(main())
    assert (before, rows) == (after, rows_after)


def test_r03_an_aborted_canary_gets_no_weight_again_and_a_retry_is_a_new_run(tmp_path: Path) -> None:
    """R3: a retry is a new run with a fresh plan."""

    async def main() -> None:
        world = scene(tmp_path)
        await world.prepare()
        async with world.store() as store, world.node(store) as node:
            first = await world.begin(node)
            await _until(lambda: world.platform.weights.get(world.new.slug) == 50)
            await node.runner.signal(first, "abort", {"reason": "no"}, "uid:1000")
            assert await world.end(node, first) is State.ROLLED_BACK
            for order in ("resume", "promote", "abort"):
                with pytest.raises(DeployError, match="over"):
                    await node.runner.signal(first, order, None, "uid:1000")
            await asyncio.sleep(600)
            assert world.platform.weights == only(world.old.slug)
            told_before = len(world.platform.history)
            second = await world.begin(node)
            assert await world.end(node, second) is State.SUCCEEDED
            assert second != first
            assert any(isinstance(payload(r), PlanMade) for r in await node.journal.load(second))
            risen = [w.get(world.new.slug, 0) for _, verb, _, w in world.platform.history[told_before:]]
            assert [share for i, share in enumerate(risen) if share and share not in risen[:i]] == [10, 50, 100]

    run_virtual(main())


async def _until(true: object) -> None:
    assert callable(true)
    while not true():
        await asyncio.sleep(0.05)


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
    kills = [Kill(16, "after"), *(Kill(4, "after") for _ in range(6))]
    ended = told(tmp_path, kills=kills, gap_s=40.0, **how)
    assert ended.state is State.FAILED_NO_CHANGE
    step = next(s for s in ended.world.plan().steps if s.key == "canary/start")
    at = {type(payload(r)): r.at for r in reversed(ended.records)}
    spent = at[ErrorSeen] - at[StepStarted]
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
        if exit_ != "nobody comes" and await reach.until(_paused):
            await _say(reach, exit_)

    def nobody_visits(scene: Scene) -> None:
        scene.platform.rps = 0.0

    unseen = settings().model_copy(
        update={"judge": settings().judge.model_copy(update={"synthetic": "off", "allow_blind": True})}
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
        if await _at(reach, where):
            reach.world.platform.behaviours["v1.1.0"].errors = 0.3

    ended = told(tmp_path, turns_bad)
    assert ended.state is State.ROLLED_BACK
    assert next(f.by for f in facts(ended) if isinstance(f, GoingBack)) == "judge"


# --- R16 to R18: runs of one target


def test_r16_a_second_deploy_is_refused_and_the_first_one_does_not_notice(tmp_path: Path) -> None:
    """R16: reject, explicit (this version neither queues nor supersedes); never two rollouts' weights mixed."""

    async def main() -> None:
        world = scene(tmp_path)
        await world.prepare()
        async with world.store() as store, world.node(store) as node:
            first = await world.begin(node)
            await _until(lambda: world.platform.weights.get(world.new.slug) == 10)
            before = len(world.platform.history)
            second = await world.begin(node)
            assert await world.end(node, second) is State.FAILED_NO_CHANGE
            (error,) = [p for r in await node.journal.load(second) if isinstance(p := payload(r), ErrorSeen)]
            assert (error.code, first in error.what) == ("E_LOCKED", True)
            assert f"soc-deploy abort {first}" in error.try_
            assert len(world.platform.history) == before
            assert await world.end(node, first) is State.SUCCEEDED

    run_virtual(main())


def test_r17_a_dead_owner_s_run_goes_on_and_its_lock_needs_no_hand(tmp_path: Path) -> None:
    """R17: a lock has TTL, fencing and automatic resume: another node takes the run when the lease ran out."""

    async def main() -> None:
        world = scene(tmp_path)
        await world.prepare()
        async with world.store() as store:
            mortal = KillingStore(store, 70)
            dead = world.seat(mortal, "one")
            await dead.runner.start()
            run = await world.begin(dead)
            await mortal.dead.wait()
            await killed(dead)
            died, ttl = world.platform.clock.monotonic(), dead.runner._lease.times.ttl
            assert world.platform.weights.get(world.new.slug)
            writes, epoch = len(world.platform.history), world.platform.epoch
            async with world.node(store, "two") as heir:
                assert await world.end(heir, run) is State.SUCCEEDED
                resumed = next(at for at, verb, *_ in world.platform.history[writes:] if verb != "dead-man")
                assert ttl - heir.runner._lease.times.renew <= resumed - died <= ttl + 3.0
                assert world.platform.epoch > epoch
            assert await History(store).holder(target().id) is None

    run_virtual(main())


async def _old_is_down(world: Scene) -> None:
    await _until(lambda: world.platform.weights == only(world.new.slug))
    world.platform.behaviours["v1.0.0"].never_ready = True
    world.platform.behaviours["v1.1.0"].errors = 1.0


@pytest.mark.parametrize("first", [State.ROLLED_BACK, State.FAILED_NO_CHANGE, State.NEEDS_OPERATOR])
def test_r18_a_failed_run_never_blocks_the_next_one(tmp_path: Path, first: State) -> None:
    """R18: whatever the first one ended in, a new plan is carried out."""
    how = {State.ROLLED_BACK: BAD, State.FAILED_NO_CHANGE: Behaviour(never_ready=True)}.get(first, Behaviour())

    async def main() -> None:
        world = scene(tmp_path, new_behaviour=how)
        await world.prepare()
        async with world.store() as store, world.node(store) as node:
            trouble = asyncio.create_task(_old_is_down(world)) if first is State.NEEDS_OPERATOR else None
            assert await world.play(node) is first
            if trouble is not None:
                await trouble
            world.platform.behaviours.update({"v1.0.0": Behaviour(), "v1.1.0": Behaviour()})
            await asyncio.sleep(60)
            assert await world.play(node) is State.SUCCEEDED

    run_virtual(main())


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
