"""What every platform must do, whichever it is: one suite for the local one, the fake and those to come.

To plug one in, derive from `PlatformContract` in a test file and give a fixture `world`. Nothing here asserts how long
something takes; what must happen by itself is polled for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch, Slug
from soc_deploy_mcp.core.platform import InstanceSeen, InstanceState, Observation, Platform
from soc_deploy_mcp.core.release import Release, Target

FIRST, SECOND = Epoch(7), Epoch(8)
LONG_S, SHORT_S = 60.0, 0.6  # dead-man timers: one that must not fire here, one that must
STOPPED_S = 4.0  # long enough to be renewed or stopped on a busy machine, short enough to be waited for


@dataclass
class World:
    platform: Platform
    target: Target  # nothing was deployed to it yet
    old: Release
    new: Release
    never_ready: Release  # its applications never answer well; a short start_timeout_s
    mortal: Release  # its applications are not started again when they end; it holds requests for a second only
    crash: Callable[[InstanceSeen], Awaitable[None]]  # make an instance end by itself
    again: Callable[[], Platform]  # another owner's view of the same reality
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def seen(self) -> Observation:
        return await self.platform.observe(self.target)

    async def until(self, holds: Callable[[Observation], bool], within_s: float = 30.0) -> Observation:
        """The first observation of which it holds."""
        for _ in range(int(within_s / 0.05)):
            seen = await self.seen()
            if holds(seen):
                return seen
            await self.sleep(0.05)
        raise AssertionError(f"never seen: {await self.seen()}")

    async def serve_old(self, instances: int = 2) -> None:
        await self.platform.ensure(self.target, self.old, instances, FIRST)
        await self.platform.shift(self.target, {self.old.slug: 100}, FIRST)

    async def both(self) -> None:
        """The old release serves, the new one is ready at weight 0."""
        await self.serve_old()
        await self.platform.ensure(self.target, self.new, 1, FIRST)

    async def all_die(self, release: Release) -> None:
        """Every instance of the mortal release ends by itself, and none is left."""
        for instance in (await self.seen()).releases[release.slug].instances:
            await self.crash(instance)
        await self.until(lambda o: o.ready(release.slug) == 0)

    async def canary(self, lease_s: float | None = None) -> Observation:
        old, new = self.old.slug, self.new.slug
        fallback = None if lease_s is None else {old: 100}
        return await self.platform.shift(
            self.target, {old: 75, new: 25}, FIRST, fallback=fallback, lease_s=lease_s, spill_to=old
        )

    async def users_reach(self, *slugs: Slug) -> None:
        """Every user is answered, and by these releases; a router may need a moment after it has reported a change."""
        answers: set[Slug | None] = set()
        for _ in range(50):
            probes = [await self.platform.probe(self.target, None, "/", fresh=True) for _ in range(20 * len(slugs))]
            assert all(p.status == 200 for p in probes), [p for p in probes if p.status != 200]
            answers = {p.release for p in probes}
            if answers == set(slugs):
                return
            await self.sleep(0.05)
        raise AssertionError(f"answered by {answers}")


def names(seen: Observation, slug: Slug) -> list[str]:
    return sorted(i.name for i in seen.releases[slug].instances) if slug in seen.releases else []


async def refused(call: Awaitable[object], code: str) -> None:
    with pytest.raises(DeployError) as caught:
        await call
    assert caught.value.code == code, caught.value


class PlatformContract:
    # --- starting and scaling

    async def test_a_target_nothing_was_deployed_to_has_no_releases_and_no_weights(self, world: World) -> None:
        seen = await world.seen()
        assert not seen.releases
        assert seen.weights == {}
        assert seen.epoch == 0
        assert not seen.dead_man.armed

    async def test_a_probe_of_a_target_nothing_was_deployed_to_gets_no_good_answer(self, world: World) -> None:
        assert (await world.platform.probe(world.target, None, "/")).status != 200

    async def test_ensure_returns_when_so_many_are_ready_without_weight(self, world: World) -> None:
        await world.platform.ensure(world.target, world.old, 2, FIRST)
        seen = await world.seen()
        assert seen.ready(world.old.slug) == 2
        assert not seen.weight(world.old.slug)

    async def test_ensure_asked_twice_changes_nothing(self, world: World) -> None:
        await world.platform.ensure(world.target, world.old, 2, FIRST)
        before = names(await world.seen(), world.old.slug)
        await world.platform.ensure(world.target, world.old, 2, FIRST)
        assert names(await world.seen(), world.old.slug) == before

    async def test_ensure_starts_and_stops_what_is_missing_or_too_much(self, world: World) -> None:
        await world.serve_old(1)
        for wanted in (3, 2):
            await world.platform.ensure(world.target, world.old, wanted, FIRST)
            seen = await world.seen()
            assert seen.ready(world.old.slug) == wanted
            assert len(seen.releases[world.old.slug].instances) == wanted
        await world.users_reach(world.old.slug)

    async def test_none_wanted_is_none_left(self, world: World) -> None:
        await world.both()
        for _ in range(2):
            await world.platform.ensure(world.target, world.new, 0, FIRST)
            assert set((await world.seen()).releases) == {world.old.slug}
        await world.users_reach(world.old.slug)

    async def test_what_died_is_replaced_and_stays_counted(self, world: World) -> None:
        await world.serve_old()
        await world.platform.ensure(world.target, world.mortal, 2, FIRST)
        await world.crash((await world.seen()).releases[world.mortal.slug].instances[0])
        await world.until(lambda o: o.ready(world.mortal.slug) == 1)
        await world.platform.ensure(world.target, world.mortal, 2, FIRST)
        seen = await world.seen()
        assert (seen.ready(world.mortal.slug), seen.restarts(world.mortal.slug)) == (2, 1)

    async def test_what_never_becomes_ready_fails_and_gets_no_weight(self, world: World) -> None:
        await world.serve_old()
        await refused(world.platform.ensure(world.target, world.never_ready, 1, FIRST), "E_START_TIMEOUT")
        seen = await world.seen()
        assert seen.ready(world.never_ready.slug) == 0
        assert seen.weights == {world.old.slug: 100}

    async def test_a_failed_start_can_be_cleaned_up(self, world: World) -> None:
        await world.serve_old()
        await refused(world.platform.ensure(world.target, world.never_ready, 1, FIRST), "E_START_TIMEOUT")
        await world.platform.drain(world.target, world.never_ready.slug, FIRST)
        await world.platform.remove(world.target, world.never_ready.slug, FIRST)
        assert world.never_ready.slug not in (await world.seen()).releases

    async def test_an_end_nobody_asked_for_is_counted(self, world: World) -> None:
        await world.serve_old()
        victim = (await world.seen()).releases[world.old.slug].instances[0]
        await world.crash(victim)
        seen = await world.until(lambda o: o.restarts(world.old.slug) > 0)
        assert {i.name: i.restarts for i in seen.releases[world.old.slug].instances}[victim.name] == 1

    async def test_what_was_stopped_as_asked_is_no_crash(self, world: World) -> None:
        await world.serve_old(2)
        await world.platform.ensure(world.target, world.old, 1, FIRST)
        assert (await world.seen()).restarts(world.old.slug) == 0

    # --- traffic

    async def test_a_probe_reaches_a_release_without_weight(self, world: World) -> None:
        await world.serve_old()
        assert (await world.platform.probe(world.target, None, "/")).release == world.old.slug
        await world.platform.ensure(world.target, world.new, 1, FIRST)
        probe = await world.platform.probe(world.target, world.new.slug, "/")
        assert (probe.status, probe.release) == (200, world.new.slug)

    async def test_a_probe_of_an_unknown_release_is_not_answered_by_another(self, world: World) -> None:
        await world.serve_old()
        assert (await world.platform.probe(world.target, world.new.slug, "/")).release != world.old.slug

    async def test_users_get_the_releases_with_weight_and_no_other(self, world: World) -> None:
        await world.both()
        await world.users_reach(world.old.slug)
        assert (await world.canary()).weights == {world.old.slug: 75, world.new.slug: 25}
        await world.users_reach(world.old.slug, world.new.slug)
        await world.platform.shift(world.target, {world.new.slug: 100}, FIRST)
        await world.users_reach(world.new.slug)

    async def test_shift_returns_what_is_in_force(self, world: World) -> None:
        await world.both()
        seen = await world.canary()
        assert seen.weights == (await world.seen()).weights
        assert seen.mode == "serve"
        assert seen.epoch == FIRST

    async def test_weights_that_do_not_add_up_are_refused_and_change_nothing(self, world: World) -> None:
        await world.both()
        old, new = world.old.slug, world.new.slug
        for weights in ({new: 99}, {old: 60, new: 60}, {old: 150, new: -50}):
            await refused(world.platform.shift(world.target, weights, FIRST), "E_WEIGHTS")
        assert (await world.seen()).weights == {world.old.slug: 100}

    async def test_a_weight_of_nought_is_no_weight(self, world: World) -> None:
        await world.serve_old()
        seen = await world.platform.shift(world.target, {world.old.slug: 100, world.new.slug: 0}, FIRST)
        assert seen.weights == {world.old.slug: 100}

    async def test_the_same_shift_twice_is_one(self, world: World) -> None:
        await world.both()
        first, second = await world.canary(LONG_S), await world.canary(LONG_S)
        assert (first.weights, first.mode, first.dead_man.fallback) == (
            second.weights,
            second.mode,
            second.dead_man.fallback,
        )

    async def test_what_died_gets_no_weight(self, world: World) -> None:
        await world.serve_old()
        await world.platform.ensure(world.target, world.mortal, 1, FIRST)
        await world.all_die(world.mortal)
        await refused(world.platform.shift(world.target, {world.mortal.slug: 100}, FIRST), "E_WEIGHTS")
        await world.users_reach(world.old.slug)

    async def test_the_requests_of_a_dead_release_spill_over_to_the_proven_one(self, world: World) -> None:
        if not world.platform.capabilities(world.target).spill:
            pytest.skip("this platform spills nothing over")
        await world.serve_old()
        await world.platform.ensure(world.target, world.mortal, 1, FIRST)
        half = {world.old.slug: 50, world.mortal.slug: 50}
        await world.platform.shift(world.target, half, FIRST, spill_to=world.old.slug)
        await world.users_reach(world.old.slug, world.mortal.slug)
        await world.all_die(world.mortal)
        await world.users_reach(world.old.slug)
        assert (await world.seen()).weights == half

    async def test_nobody_answers_for_a_dead_release_until_another_gets_its_users(self, world: World) -> None:
        await world.serve_old()
        await world.platform.ensure(world.target, world.mortal, 1, FIRST)
        await world.platform.shift(world.target, {world.mortal.slug: 100}, FIRST)
        await world.all_die(world.mortal)
        probes = [await world.platform.probe(world.target, None, "/", fresh=True) for _ in range(20)]
        assert {p.release for p in probes} <= {world.mortal.slug, None}
        assert not any(p.status == 200 for p in probes)
        await world.platform.ensure(world.target, world.new, 1, FIRST)
        await world.platform.shift(world.target, {world.new.slug: 100}, FIRST)
        await world.users_reach(world.new.slug)

    async def test_requests_spill_over_to_a_release_that_is_there_or_nothing_changes(self, world: World) -> None:
        await world.both()
        weights = {world.old.slug: 75, world.new.slug: 25}
        call = world.platform.shift(world.target, weights, FIRST, spill_to=world.mortal.slug)
        await refused(call, "E_WEIGHTS")
        assert (await world.seen()).weights == {world.old.slug: 100}

    async def test_no_weight_goes_to_a_release_without_a_ready_instance(self, world: World) -> None:
        await world.serve_old()
        await refused(world.platform.shift(world.target, {world.new.slug: 100}, FIRST), "E_WEIGHTS")
        await world.users_reach(world.old.slug)

    async def test_held_requests_are_answered_when_somebody_serves_again(self, world: World) -> None:
        if not world.platform.capabilities(world.target).hold:
            pytest.skip("this platform holds no requests")
        await world.both()
        held = await world.platform.shift(world.target, {}, FIRST)
        assert (held.mode, held.weights) == ("hold", {})
        await world.platform.shift(world.target, {world.new.slug: 100}, FIRST)
        assert (await world.seen()).mode == "serve"
        await world.users_reach(world.new.slug)

    async def test_a_hold_ends_by_itself_and_is_not_prolonged(self, world: World) -> None:
        if not world.platform.capabilities(world.target).hold:
            pytest.skip("this platform holds no requests")
        await world.platform.ensure(world.target, world.mortal, 1, FIRST)
        await world.platform.shift(world.target, {world.mortal.slug: 100}, FIRST)
        await world.platform.shift(world.target, {}, FIRST)
        await world.until(lambda o: o.mode == "maintenance")
        assert (await world.platform.shift(world.target, {}, FIRST)).mode == "maintenance"
        back = await world.platform.shift(world.target, {world.mortal.slug: 100}, FIRST)
        assert (back.mode, back.weights) == ("serve", {world.mortal.slug: 100})

    async def test_where_nobody_serves_yet_there_is_nothing_to_hold(self, world: World) -> None:
        await world.platform.ensure(world.target, world.old, 1, FIRST)
        seen = await world.platform.shift(world.target, {}, FIRST)
        assert (seen.mode, seen.weights) == ("maintenance", {})

    async def test_what_a_platform_can_do_is_known_before_anything_runs(self, world: World) -> None:
        before = world.platform.capabilities(world.target)
        await world.serve_old(1)
        assert world.platform.capabilities(world.target) == before

    # --- taking away

    async def test_a_release_with_weight_is_neither_drained_nor_removed_nor_emptied(self, world: World) -> None:
        await world.serve_old()
        await refused(world.platform.drain(world.target, world.old.slug, FIRST), "E_WEIGHTS")
        await refused(world.platform.remove(world.target, world.old.slug, FIRST), "E_WEIGHTS")
        await refused(world.platform.ensure(world.target, world.old, 0, FIRST), "E_WEIGHTS")
        assert (await world.seen()).ready(world.old.slug) == 2

    async def test_drain_and_remove_take_one_release_and_leave_the_other(self, world: World) -> None:
        await world.both()
        await world.platform.shift(world.target, {world.new.slug: 100}, FIRST)
        assert await world.platform.drain(world.target, world.old.slug, FIRST) == 0
        assert (await world.seen()).ready(world.old.slug) == 0
        await world.platform.remove(world.target, world.old.slug, FIRST)
        seen = await world.seen()
        assert set(seen.releases) == {world.new.slug}
        await world.users_reach(world.new.slug)

    async def test_what_is_not_there_is_drained_and_removed_at_once(self, world: World) -> None:
        await world.serve_old()
        for _ in range(2):
            assert await world.platform.drain(world.target, world.new.slug, FIRST) == 0
            await world.platform.remove(world.target, world.new.slug, FIRST)
        assert (await world.seen()).weights == {world.old.slug: 100}

    async def test_a_drained_release_can_serve_again(self, world: World) -> None:
        await world.both()
        await world.platform.shift(world.target, {world.new.slug: 100}, FIRST)
        await world.platform.drain(world.target, world.old.slug, FIRST)
        await world.platform.ensure(world.target, world.old, 2, FIRST)
        await world.platform.shift(world.target, {world.old.slug: 100}, FIRST)
        await world.users_reach(world.old.slug)

    # --- one owner

    async def test_an_older_owner_is_refused_whatever_it_wants(self, world: World) -> None:
        await world.both()
        await world.platform.renew(world.target, SECOND, None)
        platform, target = world.again(), world.target
        before = await world.seen()
        for call in (
            lambda: platform.ensure(target, world.new, 2, FIRST),
            lambda: platform.ensure(target, world.new, 0, FIRST),
            lambda: platform.shift(target, {world.new.slug: 100}, FIRST),
            lambda: platform.shift(target, {}, FIRST),
            lambda: platform.renew(target, FIRST, LONG_S),
            lambda: platform.drain(target, world.new.slug, FIRST),
            lambda: platform.remove(target, world.new.slug, FIRST),
        ):
            await refused(call(), "E_STALE_EPOCH")
        after = await world.seen()
        assert (after.weights, after.epoch) == (before.weights, SECOND)
        assert names(after, world.new.slug) == names(before, world.new.slug)

    async def test_whatever_a_newer_owner_writes_first_shuts_the_older_out(self, world: World) -> None:
        await world.both()
        platform, target, old, new = world.platform, world.target, world.old.slug, world.new.slug
        writes = (
            lambda epoch: platform.renew(target, epoch, None),
            lambda epoch: platform.shift(target, {old: 100}, epoch),
            lambda epoch: platform.ensure(target, world.old, 2, epoch),
            lambda epoch: platform.drain(target, new, epoch),
            lambda epoch: platform.remove(target, new, epoch),
        )
        for number, write in enumerate(writes, start=SECOND):
            await write(Epoch(number))
            assert (await world.seen()).epoch == number
            await refused(platform.shift(target, {old: 100}, Epoch(number - 1)), "E_STALE_EPOCH")

    async def test_another_view_of_the_same_reality_goes_on(self, world: World) -> None:
        await world.both()
        await world.canary(LONG_S)
        other, here = await world.again().observe(world.target), await world.seen()
        assert (other.weights, set(other.releases)) == (here.weights, set(here.releases))
        assert other.dead_man.armed
        seen = await world.again().shift(world.target, {world.new.slug: 100}, SECOND)
        assert (seen.weights, seen.epoch) == ({world.new.slug: 100}, SECOND)

    # --- the dead-man timer

    async def test_the_timer_is_shown_with_where_it_goes(self, world: World) -> None:
        await world.both()
        seen = await world.canary(LONG_S)
        assert seen.dead_man.armed
        assert seen.dead_man.fallback == {world.old.slug: 100}

    async def test_nobody_renews_and_the_traffic_goes_back_by_itself(self, world: World) -> None:
        await world.both()
        await world.canary(SHORT_S)
        seen = await world.until(lambda o: o.weights == {world.old.slug: 100})
        assert seen.dead_man.fired_at is not None
        assert not seen.dead_man.armed
        assert seen.epoch == FIRST
        await world.users_reach(world.old.slug)

    async def test_where_the_timer_would_go_is_not_taken_away(self, world: World) -> None:
        await world.both()
        await world.platform.shift(
            world.target, {world.new.slug: 100}, FIRST, fallback={world.old.slug: 100}, lease_s=LONG_S
        )
        await refused(world.platform.drain(world.target, world.old.slug, FIRST), "E_WEIGHTS")
        await refused(world.platform.remove(world.target, world.old.slug, FIRST), "E_WEIGHTS")
        await refused(world.platform.ensure(world.target, world.old, 0, FIRST), "E_WEIGHTS")
        assert (await world.seen()).ready(world.old.slug) == 2

    async def test_a_timer_that_could_not_go_there_is_refused_with_its_shift(self, world: World) -> None:
        await world.both()
        new, nobody = {world.new.slug: 100}, world.mortal.slug
        for fallback in ({nobody: 100}, {world.old.slug: 99}, {world.old.slug: 50, nobody: 50}):
            call = world.platform.shift(world.target, new, FIRST, fallback=fallback, lease_s=LONG_S)
            await refused(call, "E_WEIGHTS")
        seen = await world.seen()
        assert (seen.weights, seen.dead_man.armed) == ({world.old.slug: 100}, False)

    async def test_a_timer_needs_a_time_and_a_place(self, world: World) -> None:
        await world.both()
        half = {world.old.slug: 50, world.new.slug: 50}
        assert not (await world.platform.shift(world.target, half, FIRST, lease_s=LONG_S)).dead_man.armed
        seen = await world.platform.shift(world.target, half, FIRST, fallback={world.old.slug: 100})
        assert not seen.dead_man.armed

    async def test_a_renewal_arms_no_timer(self, world: World) -> None:
        await world.both()
        await world.platform.shift(world.target, {world.new.slug: 100}, FIRST)
        await world.platform.renew(world.target, FIRST, SHORT_S)
        assert not (await world.seen()).dead_man.armed
        await world.sleep(2 * SHORT_S)
        assert (await world.seen()).weights == {world.new.slug: 100}

    async def test_who_has_nowhere_to_go_back_to_is_sent_away(self, world: World) -> None:
        await world.platform.ensure(world.target, world.new, 1, FIRST)
        await world.platform.shift(world.target, {world.new.slug: 100}, FIRST, fallback={}, lease_s=SHORT_S)
        seen = await world.until(lambda o: o.dead_man.fired_at is not None)
        assert (seen.weights, seen.mode) == ({}, "maintenance")

    async def test_a_renewed_timer_does_not_fire(self, world: World) -> None:
        await world.both()
        await world.canary(STOPPED_S)
        for _ in range(10):
            await world.platform.renew(world.target, FIRST, STOPPED_S)
            await world.sleep(STOPPED_S / 8)
        seen = await world.seen()
        assert seen.dead_man.armed
        assert seen.weights == {world.old.slug: 75, world.new.slug: 25}

    async def test_the_timer_is_off_after_a_shift_without_it(self, world: World) -> None:
        await world.both()
        await world.canary(SHORT_S)
        seen = await world.platform.shift(world.target, {world.new.slug: 100}, FIRST)
        assert not seen.dead_man.armed
        await world.sleep(2 * SHORT_S)
        assert (await world.seen()).weights == {world.new.slug: 100}

    async def test_the_timer_can_be_switched_off(self, world: World) -> None:
        await world.both()
        await world.canary(STOPPED_S)
        await world.platform.renew(world.target, FIRST, None)
        await world.sleep(1.2 * STOPPED_S)
        seen = await world.seen()
        assert not seen.dead_man.armed
        assert seen.weights == {world.old.slug: 75, world.new.slug: 25}

    async def test_the_mark_of_a_fired_timer_stays_until_the_next_shift(self, world: World) -> None:
        await world.both()
        await world.canary(SHORT_S)
        await world.until(lambda o: o.dead_man.fired_at is not None)
        await world.platform.renew(world.target, SECOND, LONG_S)
        assert (await world.seen()).dead_man.fired_at is not None
        await world.platform.shift(world.target, {world.old.slug: 100}, SECOND)
        assert (await world.seen()).dead_man.fired_at is None

    # --- what the judge reads

    async def test_releases_are_counted_under_different_names(self, world: World) -> None:
        old, new = world.platform.labels(world.old.slug), world.platform.labels(world.new.slug)
        assert old.label == new.label
        assert not set(old.values) & set(new.values)

    async def test_a_ready_instance_is_shown_with_what_people_need(self, world: World) -> None:
        await world.serve_old(1)
        (instance,) = (await world.seen()).releases[world.old.slug].instances
        assert instance.state is InstanceState.READY
        assert instance.port > 0
        assert instance.pid
        assert str(instance.port) in instance.name
