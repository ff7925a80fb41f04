"""The regression rules about capacity, weights and the router: each is what another tool got wrong once."""

from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import STRATEGIES, Strategy
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import ErrorSeen, State
from soc_deploy_mcp.core.ids import Epoch
from tests.actions.deploy.kills import Kill, Reach
from tests.actions.deploy.scene import Scene, release, target
from tests.actions.deploy.told import facts, meets, moments, needed, only, pauses, platform, shares, told, when
from tests.fakes.platform import Behaviour

WITH_BOTH: tuple[Strategy, ...] = ("blue-green", "canary", "rolling")  # both releases run side by side
GOOD, BAD = Behaviour(), Behaviour(errors=0.05)


async def abort_at_half(reach: Reach) -> None:
    if await when(reach, lambda r: r.world.platform.weights.get(r.world.new.slug, 0) > 0):
        await reach.say("abort")


ENDINGS = [(GOOD, None), (BAD, None), (GOOD, abort_at_half)]


@pytest.mark.parametrize(("new", "people"), ENDINGS)
@pytest.mark.parametrize("strategy", WITH_BOTH)
def test_r05_capacity_is_there_before_and_until_after_its_weight(
    tmp_path: Path, strategy: Strategy, new: Behaviour, people: object
) -> None:
    """R5: capacity(v) ≥ required(weight(v)) at every moment, so before any scale-down, whoever asks for it."""
    ended = told(tmp_path, people, strategy=strategy, new_behaviour=new)  # type: ignore[arg-type]
    full = ended.world.old.spec.instances
    for moment in moments(ended):
        for slug, weight in moment.weights.items():
            spare = 1 if strategy == "rolling" else 0  # the batch that is being replaced
            assert moment.ready.get(slug, 0) >= needed(weight, full) - spare, moment
    assert platform(ended).lost == 0


def test_r05_nobody_scales_a_release_that_has_users_to_nought(tmp_path: Path) -> None:
    """R5: also a caller that is none of ours, with the newest epoch."""

    async def somebody_else(reach: Reach) -> None:
        if await when(reach, meets(10)):
            world = reach.world
            for each in (world.old, world.new):
                with pytest.raises(DeployError, match=r"weight|cannot be drained"):
                    await world.platform.ensure(target(), each, 0, world.platform.epoch)

    assert told(tmp_path, somebody_else).state is State.SUCCEEDED


def test_r06_instances_for_the_present_total_come_before_a_large_share(tmp_path: Path) -> None:
    """R6: the old release runs with more instances than the new one declares: the new one gets as many first."""

    def grown(scene: Scene) -> None:
        scene.old = release("v1.0.0", scene.settings.spec.model_copy(update={"instances": 7}))

    ended = told(tmp_path, setting=grown)
    assert ended.state is State.SUCCEEDED
    for moment in moments(ended):
        if moment.verb == "shift":
            new = ended.world.new.slug
            assert moment.ready[new] >= needed(moment.weight(new), 7), moment


@pytest.mark.parametrize("auto", [True, False])
def test_r06_what_does_not_become_ready_for_the_next_share_goes_a_step_back_and_never_forward(
    tmp_path: Path, auto: bool
) -> None:
    """R6: step back if it is not ready."""

    def no_room(scene: Scene) -> None:
        def fault(verb: str) -> None:
            if verb == "ensure" and scene.platform.weights.get(scene.new.slug) == 10:
                raise DeployError("E_START_TIMEOUT", "v1.1.0 is not ready", "", "soc-deploy logs")

        scene.platform.fault = fault

    async def give_up(reach: Reach) -> None:
        if not auto and await reach.until(lambda run: run.state is State.PAUSED):
            await reach.say("abort")

    ended = told(tmp_path, give_up, setting=no_room, auto_rollback=auto)
    assert (ended.state, max(shares(ended))) == (State.ROLLED_BACK, 10)
    assert pauses(ended) == ([] if auto else ["health_failed"])


@pytest.mark.parametrize(("new", "people"), ENDINGS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_r07_ready_then_weight_and_no_weight_before_it_is_taken_away(
    tmp_path: Path, strategy: Strategy, new: Behaviour, people: object
) -> None:
    """R7: order ready → route → weight; weight 0 before instances go."""
    ended = told(tmp_path, people, strategy=strategy, new_behaviour=new)  # type: ignore[arg-type]
    assert ended.state is (State.ROLLED_BACK if people or new is BAD else State.SUCCEEDED)
    for moment in moments(ended):
        if moment.verb == "shift":
            assert all(moment.ready.get(slug) for slug in moment.weights), moment
        if moment.verb in ("drain", "remove"):
            assert moment.slug is not None
            assert moment.weight(moment.slug) == 0, moment


@pytest.mark.parametrize("strategy", WITH_BOTH)
def test_r08_a_new_release_that_dies_under_everybody_finds_the_old_one_whole(
    tmp_path: Path, strategy: Strategy
) -> None:
    """R8: during promotion the only healthy copy is never removed."""

    async def dies(reach: Reach) -> None:
        world = reach.world
        if await when(reach, meets(33 if strategy == "rolling" else 100)):
            world.platform.behaviours["v1.1.0"].errors = 1.0

    ended = told(tmp_path, dies, strategy=strategy)
    assert ended.state is State.ROLLED_BACK
    assert platform(ended).weights == only(ended.world.old.slug)
    least = min(m.ready.get(ended.world.old.slug, 0) for m in moments(ended))
    assert least >= (2 if strategy == "rolling" else 3)


def test_r08_users_are_not_sent_back_to_a_release_that_answers_nobody(tmp_path: Path) -> None:
    """R8: an abort while the old release is down leaves users and instances with the new one, and asks a person."""

    async def old_is_down(reach: Reach) -> None:
        if await when(reach, meets(100)):
            reach.world.platform.behaviours["v1.0.0"].never_ready = True
            await reach.say("abort")

    ended = told(tmp_path, old_is_down)
    assert ended.state is State.NEEDS_OPERATOR
    assert platform(ended).weights == only(ended.world.new.slug)
    assert ended.left[ended.world.new.slug] == 3
    assert platform(ended).lost == 0


@pytest.mark.parametrize("new", [GOOD, BAD])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_r13_the_router_always_sends_users_to_somebody(tmp_path: Path, strategy: Strategy, new: Behaviour) -> None:
    """R13: the router never gets an empty backend set; recreate holds requests while nobody is there."""
    ended = told(tmp_path, strategy=strategy, new_behaviour=new)
    for moment in moments(ended):
        assert all(moment.ready.get(slug) for slug in moment.weights), moment
        if not moment.weights:
            assert strategy == "recreate"
            assert platform(ended).lost == 0


def test_r13_an_owner_that_was_replaced_changes_nothing_any_more(tmp_path: Path) -> None:
    """R13: one writer, fenced."""
    tried: list[str] = []

    async def zombie(reach: Reach) -> None:
        world = reach.world
        if not await when(reach, lambda r: r.world.platform.epoch >= 2 and bool(r.world.platform.weights)):
            return
        at, old = world.platform, Epoch(1)
        before = len(at.history)
        for call in (
            at.ensure(target(), world.new, 0, old),
            at.shift(target(), only(world.new.slug), old),
            at.shift(target(), {}, old),
            at.renew(target(), old, None),
            at.drain(target(), world.old.slug, old),
            at.remove(target(), world.old.slug, old),
        ):
            with pytest.raises(DeployError) as caught:
                await call
            tried.append(caught.value.code)
        assert len(at.history) == before

    ended = told(tmp_path, zombie, kills=[Kill(60, "after")])
    assert tried == ["E_STALE_EPOCH"] * 6
    assert ended.state is State.SUCCEEDED


@pytest.mark.parametrize("strategy", WITH_BOTH)
def test_r14_smoke_tested_then_weighed_then_probed_as_users_then_drained_then_stopped(
    tmp_path: Path, strategy: Strategy
) -> None:
    """R14: a switch is verified by probes through the real entry; drain before stop. With a real router:
    tests/e2e/test_no_request_is_lost.py."""
    ended = told(tmp_path, strategy=strategy)
    seen, new, old = moments(ended), ended.world.new.slug, ended.world.old.slug

    def first(verb: str, slug: object = None) -> int:
        return next(i for i, m in enumerate(seen) if m.verb == verb and m.slug == slug)

    assert first("probe", new) < first("shift") < first("probe")
    for index, moment in enumerate(seen):
        if moment.verb == "shift":
            behind = [m for m in seen[index + 1 :] if m.verb == "probe" and m.slug is None][:10]
            assert len(behind) == 10
            assert {m.answer for m in behind} <= set(moment.weights)
    assert first("drain", old) < first("remove", old)


def test_r14_a_switch_that_users_do_not_see_is_no_switch(tmp_path: Path) -> None:
    """R14: the router's own word is not enough: the entry still answers with the old release."""

    def misrouted(scene: Scene) -> None:
        scene.platform.misrouted = scene.old.slug  # type: ignore[attr-defined]

    ended = told(tmp_path, setting=misrouted, strategy="blue-green")
    assert ended.state is State.ROLLED_BACK
    assert platform(ended).weights == only(ended.world.old.slug)
    why = next(f.why for f in facts(ended) if isinstance(f, ErrorSeen))
    assert f"answered by {ended.world.old.slug}" in why


@pytest.mark.parametrize("down_s", [1.0, 60.0])
def test_r15_the_way_back_is_tried_again_until_the_router_takes_it(tmp_path: Path, down_s: float) -> None:
    """R15: a write that fails is looked at and tried again. Two writers: tests/tools/local/test_router.py."""
    failed: list[float] = []

    def broken(scene: Scene) -> None:
        def fault(verb: str) -> None:
            now = scene.platform.clock.monotonic()
            back = scene.platform.weights.get(scene.new.slug) == 50
            if verb == "shift" and back and (not failed or now < failed[0] + down_s):
                failed.append(now)
                raise DeployError("E_ROUTER_DOWN", "the router does not answer", "", "soc-deploy status")

        scene.platform.fault = fault

    async def abort(reach: Reach) -> None:
        if await when(reach, meets(50)):
            await reach.say("abort")

    ended = told(tmp_path, abort, setting=broken)
    assert len(failed) > 1
    assert ended.state is State.ROLLED_BACK
    assert platform(ended).weights == only(ended.world.old.slug)


def test_r15_weights_that_somebody_else_wrote_are_not_fought(tmp_path: Path) -> None:
    """R15: no write from a stale cache: the run stands still, says what it saw, and abort still works."""

    async def meddler(reach: Reach) -> None:
        world = reach.world
        if not await when(reach, meets(10)):
            return
        theirs = {world.old.slug: 60, world.new.slug: 40}
        await world.platform.shift(target(), theirs, world.platform.epoch)
        assert await reach.until(lambda run: run.state is State.PAUSED)
        assert world.platform.weights == theirs
        await reach.say("abort")

    ended = told(tmp_path, meddler)
    assert pauses(ended) == ["drift"]
    assert ended.state is State.ROLLED_BACK
    assert platform(ended).weights == only(ended.world.old.slug)
