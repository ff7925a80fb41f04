"""Every transaction of every story is an owner's last one, before or after it is kept; nobody carries the run for a
moment, or for longer than the dead-man timer waits.

By turns: the four ways to die share the transactions of a deploy, so that each of them is tried in one way. All of
them in all ways, which takes four times as long: SOC_CRASH_EVERY=1.
"""

import os
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import STRATEGIES, Strategy
from tests.actions.deploy import kill_stories as stories
from tests.actions.deploy.kill_stories import Story
from tests.actions.deploy.kills import LONG_S, SHORT_S, Kill, Phase, check, fresh
from tests.actions.deploy.test_kill import DEPLOYS, OTHERS, played, undisturbed

pytestmark = pytest.mark.crash

PHASES: tuple[Phase, ...] = ("before", "after")
EVERY = int(os.environ.get("SOC_CRASH_EVERY", "4"))  # a way to die is tried at every so many-th transaction
WALK = 90  # transactions of a walk that waits for an approval, and a few more


def tried(story: Story, path: Path, points: Iterable[tuple[tuple[Kill, ...], float]]) -> int:
    """How many were tried. All that went wrong is told, not only the first."""
    whole, wrong, count = undisturbed(story, path), [], 0
    for count, (kills, gap_s) in enumerate(points, start=1):
        try:
            check(played(story, fresh(path, count), kills, gap_s), whole)
        except Exception as error:
            wrong.append(f"{kills}, {gap_s} s: {type(error).__name__} {str(error)[:300]}")
    assert wrong == [], f"{len(wrong)} of {count}"
    return count


def each(transactions: Iterable[int], *gaps_s: float) -> Iterator[tuple[tuple[Kill, ...], float]]:
    ways = [(phase, gap_s) for phase in PHASES for gap_s in gaps_s]
    for turn, at in enumerate(transactions):
        for number, (phase, gap_s) in enumerate(ways):
            if (turn + number) % EVERY == 0:
                yield (Kill(at, phase),), gap_s


@pytest.mark.parametrize("make", DEPLOYS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_transaction_of_a_deploy(tmp_path: Path, strategy: Strategy, make: stories.Make) -> None:
    story = make(strategy)
    (tmp_path / "count").mkdir()
    last = undisturbed(story, tmp_path / "count").counts[0]
    assert tried(story, tmp_path, each(range(1, last + 1), SHORT_S, LONG_S)) >= 4 * (last // EVERY)


@pytest.mark.parametrize("story", OTHERS, ids=lambda story: story.name)
def test_every_other_transaction_of_other_stories(tmp_path: Path, story: Story) -> None:
    (tmp_path / "count").mkdir()
    last = undisturbed(story, tmp_path / "count").counts[0]
    if story.name == "approved":  # behind the gate it is a deploy like others
        last = min(last, WALK)
    assert tried(story, tmp_path, each(range(1, last + 1, 2), SHORT_S, LONG_S)) >= 4 * (last // 2 // EVERY)


@pytest.mark.parametrize("make", DEPLOYS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_second_owner_is_killed_too(tmp_path: Path, strategy: Strategy, make: stories.Make) -> None:
    story = make(strategy)
    (tmp_path / "count").mkdir()
    last = undisturbed(story, tmp_path / "count").counts[0]
    pairs = [
        ((Kill(first, "before"), Kill(second, phase)), SHORT_S)
        for first in range(6, last, max(1, last // 8))
        for second in range(1, 25, 4)
        for phase in PHASES
    ]
    some = random.Random(f"{strategy} {story.name}").sample(pairs, len(pairs) // EVERY)
    assert tried(story, tmp_path, some) > 80 // EVERY
