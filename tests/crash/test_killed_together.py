"""Two at once, a rollback that is struck, and a new release whose instance dies while it is looked at."""

import random
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import Strategy
from soc_deploy_mcp.core.event import State
from tests.crash.stage import BAD, GOOD, stage
from tests.crash.strikes import SEED, Strike, campaign, moments
from tests.crash.victims import Victim
from tests.support.product import deploying

pytestmark = pytest.mark.crash

SHIFTS = {"blue-green": "switch/0-shift", "canary": "canary/40/1-shift"}
TOGETHER: tuple[tuple[Victim, ...], ...] = (
    ("daemon", "router"),
    ("daemon", "guard"),
    ("guard", "router"),
    ("guard", "guard's supervisor"),
)


@pytest.mark.parametrize("strategy", ["blue-green", "canary"])
def test_two_at_once_where_users_are_moved(versions: Path, home: Path, tmp_path: Path, strategy: Strategy) -> None:
    shift = SHIFTS[strategy]
    with stage(versions, home, tmp_path) as here:
        for victims in TOGETHER:
            there = Strike(f"intent {shift}", victims, 0.005)
            here.deploy(strategy, "good", [there])
            back = Strike("intent back/shift/flip", victims)
            here.deploy(strategy, "bad", [back])
        here.users.check([BAD])


@pytest.mark.parametrize("strategy", ["blue-green", "rolling", "recreate"])
def test_a_rollback_is_struck(versions: Path, home: Path, tmp_path: Path, strategy: Strategy) -> None:
    dice = random.Random(f"{SEED} {strategy}")
    victims: Iterator[tuple[Victim, ...]] = cycle([("router", "old instance"), ("guard", "client")])
    with stage(versions, home, tmp_path) as here:
        here.deploy("blue-green", "good", version=GOOD[1])
        whole = here.roll_back(GOOD[0], strategy)
        there = moments(whole.rows, whole.new, whole.old, "good")
        for bad, strikes in zip(GOOD[2:], campaign(there, "good", 2, victims, dice), strict=True):
            here.deploy("blue-green", "good", version=bad)
            ran = here.roll_back(GOOD[0], strategy, strikes)
            assert ran.shares == whole.shares
        here.users.check()


@pytest.mark.parametrize("strategy", ["blue-green", "canary"])
def test_a_new_instance_that_dies_under_the_judges_eyes_is_a_crash(
    versions: Path, home: Path, tmp_path: Path, strategy: Strategy
) -> None:
    """Nobody can tell such a kill from a defect of the release. Users are back with the old one."""
    with stage(versions, home, tmp_path) as here:
        words = deploying(GOOD[1], "--strategy", strategy, "--auto-rollback")
        strikes = [Strike(f"observed {SHIFTS[strategy]}", ("new instance",)), Strike("decided back/decided")]
        ran = here.carry(words, GOOD[1], strikes)
        here.assert_ended(ran, State.ROLLED_BACK)
        decided = next(row for row in ran.rows if row.key == "back/decided")
        assert decided.payload["code"] == "CRASH", decided
        here.users.check()
