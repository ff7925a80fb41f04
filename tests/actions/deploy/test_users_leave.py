"""Users leave in the middle of a rollout: our own probes say what users no longer can, and no step runs for ever."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.core.config import Config, Settings
from soc_deploy_mcp.core.event import GoingBack, Moved, Notice, State, StepStarted
from tests.actions.deploy.kills import Played, Reach
from tests.actions.deploy.scene import CONFIG, Scene
from tests.actions.deploy.told import facts, paused, pauses, say, shares, told, when

SOME = 50.0  # requests a second: enough to say something about errors at a quarter of the users, too few at 5 %
VERIFY_MAX_S = 900.0


def strict(**deploy: Any) -> Settings:
    text = CONFIG.replace("<0.5%", "<0.1%").replace("synthetic_rate: 50", "synthetic_rate: 20")
    asked = Config.read(text.replace("[10, 50, 100]", "[5, 25, 50, 100]")).settings("shop", "prod")
    return asked.model_copy(update={"deploy": asked.deploy.model_copy(update=deploy)})


def some_users(scene: Scene) -> None:
    scene.platform.rps = SOME


def many_users(scene: Scene) -> None:
    """So many that nobody needs probes."""
    scene.platform.rps = 2000.0


def blind() -> Settings:
    """Without users nothing is known."""
    asked = strict(pause_expires=60.0)
    return asked.model_copy(update={"judge": asked.judge.model_copy(update={"synthetic": "off", "allow_blind": True})})


def weight(reach: Reach) -> int:
    return reach.world.platform.weights.get(reach.world.new.slug, 0)


def leaving(share: int, seconds: float, then: Callable[[Reach], Any] | None = None) -> Callable[[Reach], Any]:
    """All users go `seconds` after the new release got this share of them."""

    async def people(reach: Reach) -> None:
        if await when(reach, lambda r: weight(r) == share):
            await asyncio.sleep(seconds)
            reach.world.platform.rps = 0.0
            if then is not None:
                await then(reach)

    return people


def _is(fact: Any, kind: type, step: str) -> bool:
    return isinstance(fact, kind) and fact.step == step  # type: ignore[attr-defined]


@pytest.mark.parametrize("share", [25, 50, 100])
def test_when_users_leave_in_a_step_the_probes_decide(tmp_path: Path, share: int) -> None:
    ended = told(tmp_path, leaving(share, 5.0), setting=some_users, settings=strict())
    assert (ended.state, pauses(ended)) == (State.SUCCEEDED, [])


def test_probes_do_not_speak_for_a_release_that_they_find_bad(tmp_path: Path) -> None:
    async def turns_bad(reach: Reach) -> None:
        reach.world.platform.behaviours["v1.1.0"].errors = 0.3

    ended = told(tmp_path, leaving(25, 5.0, turns_bad), setting=some_users, settings=strict())
    assert ended.state is State.ROLLED_BACK
    assert next(f.by for f in facts(ended) if isinstance(f, GoingBack)) == "judge"
    assert max(shares(ended)) == 25


def test_what_users_met_before_they_left_still_counts(tmp_path: Path) -> None:
    """Only users meet the errors: our probes are answered well, and cannot make up for that."""

    async def suffer(reach: Reach) -> None:
        if not await when(reach, lambda r: weight(r) == 25):
            return
        served = reach.world.platform.served
        await asyncio.sleep(3.0)
        served[reach.world.new.slug].errors += 6
        await asyncio.sleep(2.0)
        reach.world.platform.rps = 0.0

    ended = told(tmp_path, suffer, setting=some_users, settings=strict(pause_expires=60.0))
    assert ended.state is State.ROLLED_BACK
    assert max(shares(ended)) == 25


@pytest.mark.parametrize("exit_", ["nobody comes", "resume"])
def test_evidence_that_comes_in_a_pause_is_told_and_waits_for_a_person(tmp_path: Path, exit_: str) -> None:
    """R10: a pause ends by a person, not by itself; and the live view says that a person is waited for."""
    shown: list[str] = []

    async def people(reach: Reach) -> None:
        reach.world.platform.rps = 0.1  # they come too seldom to say anything, and too often to be gone
        if not await reach.until(paused):
            return
        reach.world.platform.rps = 0.0
        await asyncio.sleep(200)
        shown.append(f"{reach.world.board['word']} {reach.world.board['reason']}")
        if exit_ == "resume":
            await say(reach, "resume")

    async def at_a_quarter(reach: Reach) -> None:
        if await when(reach, lambda r: weight(r) == 25):
            await people(reach)

    ended = told(tmp_path, at_a_quarter, setting=some_users, settings=strict(pause_expires=600.0))
    assert pauses(ended) == ["inconclusive"]
    assert shown == ["ACCEPT enough evidence, waits for resume"]
    said = [f.text for f in facts(ended) if isinstance(f, Notice) and "evidence" in f.text]
    assert said == ["there is enough evidence for v1.1.0 now; the run stays paused until a person says resume"]
    assert ended.state is (State.SUCCEEDED if exit_ == "resume" else State.ROLLED_BACK)


def test_a_verification_without_evidence_pauses_at_its_limit(tmp_path: Path) -> None:
    ended = told(tmp_path, leaving(100, 0.5), setting=many_users, settings=blind())
    assert pauses(ended) == ["inconclusive"]
    assert paused_after(ended, "verify") == pytest.approx(VERIFY_MAX_S, abs=5)
    assert ended.state is State.ROLLED_BACK


def paused_after(ended: Played, step: str) -> float:
    """Seconds from the start of a step to its first pause."""
    told_ = list(zip(ended.records, facts(ended), strict=True))
    start = next(i for i, (_, p) in enumerate(told_) if _is(p, StepStarted, step))
    pause = next(r.at for r, p in told_[start:] if isinstance(p, Moved) and p.state is State.PAUSED)
    return pause - told_[start][0].at


def test_a_timer_that_returns_the_traffic_does_not_prolong_a_step(tmp_path: Path) -> None:
    """R9: one absolute limit a step. What the dead-man timer interrupts begins again, its limit does not."""

    async def again_and_again(reach: Reach) -> None:
        world = reach.world.platform
        for _ in range(5):
            await asyncio.sleep(300)
            if not world.weights.get(reach.world.new.slug):
                return
            world.deadline = world.clock.monotonic()  # nobody renewed it

    ended = told(tmp_path, leaving(100, 0.5, again_and_again), setting=many_users, settings=blind())
    assert paused_after(ended, "verify") == pytest.approx(VERIFY_MAX_S, abs=10)
    assert pauses(ended)[0] == "inconclusive"
    assert ended.state is State.ROLLED_BACK
