"""`kill -9` of everybody at points all over the journal, in each strategy, whatever becomes of the release.

A run nobody disturbs shows which points there are. The runs after it are struck there, several times each, and must
end as it did: the same state, exit code, report and routes, nothing done twice, the same processes, and no request of
a user lost but those that were with somebody when he was killed.

SOC_CRASH_SEED (1) chooses the points; SOC_CRASH_RUNS (2) is how many runs of each strategy and fate are struck, with
up to four strikes each.
"""

import os
import random
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import STRATEGIES, Strategy
from tests.crash.stage import BAD, Stage, stage
from tests.crash.strikes import FATES, SEED, Fate, Strike, campaign, moments
from tests.crash.victims import VICTIMS, Victim

pytestmark = pytest.mark.crash

RUNS = int(os.environ.get("SOC_CRASH_RUNS", "2"))
LEAST = 3  # different strikes of a run, of four: who may die at no moment is left out
PROGRAMS: tuple[Victim, ...] = VICTIMS[1:7]
INSTANCES: tuple[Victim, ...] = VICTIMS[7:]
COMBINATIONS = [(strategy, fate) for strategy in STRATEGIES for fate in FATES]


def others(number: int, fate: Fate) -> Iterator[tuple[Victim, ...]]:
    """Who else dies in each run of a combination, so that over all of them everybody does."""
    strategy, turn = divmod(number, len(FATES))
    programs = islice(cycle(PROGRAMS), RUNS * number + strategy, None)
    instances = islice(cycle(INSTANCES), RUNS * strategy + turn, None)
    spared: set[Victim] = set()
    while True:
        instance = next(instances)
        yield next(programs), instance if instance not in spared else "old instance"
        if fate != "good" and instance == "old instance's supervisor":
            spared.add(instance)  # the same instances serve in the next run, and nobody gives them another one


@pytest.mark.parametrize(("strategy", "fate"), COMBINATIONS)
def test_ends_as_without_the_kill(versions: Path, home: Path, tmp_path: Path, strategy: Strategy, fate: Fate) -> None:
    with stage(versions, home, tmp_path) as here:
        struck = {(strike.at, strike.victims) for strike in _struck(here, strategy, fate)}
        here.users.check([BAD])
    assert len(struck) >= RUNS * LEAST, struck


def _struck(here: Stage, strategy: Strategy, fate: Fate) -> Iterator[Strike]:
    whole = here.deploy(strategy, fate)
    there = moments(whole.rows, whole.new, whole.old, fate)
    dice, number = random.Random(f"{SEED} {strategy} {fate}"), COMBINATIONS.index((strategy, fate))
    for strikes in campaign(there, fate, RUNS, others(number, fate), dice):
        ran = here.deploy(strategy, fate, strikes)
        if fate == "good":
            assert ran.shares == whole.shares
        print(ran.state, "; ".join(map(str, ran.struck)), sep=": ")  # pytest -rP shows it
        yield from ran.struck


def test_that_is_thirty_points_at_least_and_everybody_dies() -> None:
    assert len(COMBINATIONS) * RUNS * LEAST >= 30
    turns = [others(number, fate) for number, (_, fate) in enumerate(COMBINATIONS)]
    assert {victim for turn in turns for _ in range(RUNS) for victim in next(turn)} == set(PROGRAMS + INSTANCES)
