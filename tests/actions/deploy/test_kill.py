"""The owner of a run is killed at a transaction: the next one ends where an undisturbed owner would. Some points of
each story; every point of every story: test_kill_matrix.py.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import STRATEGIES, Strategy
from tests.actions.deploy import kill_stories as stories
from tests.actions.deploy.kill_stories import Story
from tests.actions.deploy.kills import LONG_S, SHORT_S, Kill, Played, check, fresh, play
from tests.engine.virtual import run_virtual

DEPLOYS = [stories.good, stories.bad, stories.aborted]
OTHERS = [
    stories.paused("canary"),
    stories.paused("rolling"),
    stories.undecided("canary"),
    stories.undecided("rolling"),
    stories.blinded("canary"),
    stories.blinded("rolling"),
    stories.approved("blue-green"),
    stories.rollback("blue-green", hot=True),
    stories.rollback("blue-green"),
    stories.rollback("rolling"),
    stories.rollback("recreate"),
    stories.rollback("blue-green", sick=True),
]


def played(story: Story, path: Path, kills: Sequence[Kill] = (), gap_s: float = SHORT_S) -> Played:
    async def main() -> Played:
        return await play(story.build(path), story.people, kills, gap_s)

    return run_virtual(main())


def undisturbed(story: Story, path: Path) -> Played:
    whole = played(story, fresh(path, "whole"))
    assert whole.state is story.ends
    check(whole, whole)
    return whole


@pytest.mark.parametrize("make", DEPLOYS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_killed_once(tmp_path: Path, strategy: Strategy, make: stories.Make) -> None:
    story = make(strategy)
    whole = undisturbed(story, tmp_path)
    dice = random.Random(f"{strategy} {story.name}")
    for at in dice.sample(range(1, whole.counts[0] + 1), 4):
        kill = Kill(at, dice.choice(("before", "after")))
        after = played(story, fresh(tmp_path, at), [kill], dice.choice((SHORT_S, LONG_S)))
        check(after, whole)


@pytest.mark.parametrize("story", OTHERS, ids=lambda story: story.name)
def test_killed_while_people_or_a_rollback_are_at_it(tmp_path: Path, story: Story) -> None:
    whole = undisturbed(story, tmp_path)
    dice = random.Random(story.name)
    for at in dice.sample(range(1, whole.counts[0] + 1), 4):
        kill = Kill(at, dice.choice(("before", "after")))
        check(played(story, fresh(tmp_path, at), [kill], dice.choice((SHORT_S, LONG_S))), whole)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_second_owner_is_killed_too_and_the_third(tmp_path: Path, strategy: Strategy) -> None:
    story = stories.bad(strategy)
    whole = undisturbed(story, tmp_path)
    dice = random.Random(strategy)
    for number in range(3):
        first = Kill(dice.randint(20, whole.counts[0] // 2), "before")
        kills = [first, Kill(dice.randint(1, 12), "before"), Kill(dice.randint(1, 12), "after")]
        after = played(story, fresh(tmp_path, number), kills)
        assert len(after.counts) >= 3, "the second owner came to the end before it could be killed"
        check(after, whole)


# --- points that were wrong once


def test_a_run_that_was_killed_while_it_was_being_paused_says_that_it_is_paused(tmp_path: Path) -> None:
    """Kept but not said, it stood still without a way to go on."""
    story = stories.paused("blue-green")
    whole = undisturbed(story, tmp_path)
    for at in range(38, 46):
        check(played(story, fresh(tmp_path, at), [Kill(at, "after")]), whole)


def test_traffic_that_returned_just_before_the_bake_does_not_arm_the_timer_for_ever(tmp_path: Path) -> None:
    """The old release could not be retired then, and the new one was taken back after it was stable."""
    story = stories.good("canary")
    whole = undisturbed(story, tmp_path)
    for at in range(144, 150):
        after = played(story, fresh(tmp_path, at), [Kill(at, "after")], LONG_S)
        check(after, whole)


def test_a_rollback_whose_owner_was_away_for_its_whole_window_is_no_rollback_of_the_rollback(tmp_path: Path) -> None:
    story = stories.rollback("blue-green")
    whole = undisturbed(story, tmp_path)
    check(played(story, fresh(tmp_path, "away"), [Kill(45, "before")], LONG_S), whole)


def test_a_failed_release_that_nobody_decides_about_loses_its_traffic(tmp_path: Path) -> None:
    """The failure that was known already hid that the time for a decision was over."""
    whole = undisturbed(stories.undecided("canary"), tmp_path)
    world = whole.world
    paused = next(r.at for r in whole.records if r.payload.get("state") == "PAUSED")
    old = {world.old.slug: 100}
    back = next(at for at, verb, _, weights in world.platform.history[3:] if verb == "shift" and weights == old)
    waited = world.platform.clock.wall() - world.platform.clock.monotonic() + back - paused
    timeout = world.settings.deploy.decision_timeout
    assert timeout <= waited <= timeout + 5


def test_a_rolling_update_goes_on_after_a_pause_although_the_old_release_is_gone(tmp_path: Path) -> None:
    """There is nobody left who could take over requests, and that is no reason to refuse the weights."""
    undisturbed(stories.blinded("rolling"), tmp_path)
