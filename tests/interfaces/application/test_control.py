"""What the application answers to orders, over a rollout in the fake world."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.interfaces.doors import Verb
from tests.actions.deploy.scene import Scene
from tests.engine.virtual import VirtualClock, run_virtual
from tests.fakes.application import Fake, Machine, application
from tests.fakes.platform import Behaviour

T = TypeVar("T")


def played(path: Path, story: Callable[[Fake], Awaitable[T]], new: Behaviour | None = None) -> T:
    async def main() -> T:
        platform = Machine(VirtualClock(asyncio.get_running_loop()))
        scene = Scene(platform, path / "journal.db", new_behaviour=new or Behaviour())
        await scene.prepare()
        async with application(scene, {}) as fake:
            return await story(fake)

    return run_virtual(main())


@pytest.mark.parametrize("new", [Behaviour(), Behaviour(errors=0.05), Behaviour(never_ready=True)])
def test_r02_an_abort_of_a_finished_run_says_that_there_is_nothing_to_abort(tmp_path: Path, new: Behaviour) -> None:
    async def story(fake: Fake) -> None:
        run = await fake.begin()
        await fake.over(run)
        before, rows = list(fake.scene.platform.history), await fake.app.journal(run, fake.caller)
        seen = await fake.app.control(run, "abort", fake.caller, "too late")
        assert seen.first_line == "nothing to abort: the run is over"
        assert seen.state.terminal
        await asyncio.sleep(60)
        assert fake.scene.platform.history == before
        assert await fake.app.journal(run, fake.caller) == rows

    played(tmp_path, story, new)


@pytest.mark.parametrize("verb", ["pause", "resume", "promote"])
def test_other_orders_to_a_finished_run_are_refused_with_what_to_type(tmp_path: Path, verb: Verb) -> None:
    async def story(fake: Fake) -> DeployError:
        run = await fake.begin()
        await fake.over(run)
        with pytest.raises(DeployError) as caught:
            await fake.app.control(run, verb, fake.caller)
        assert caught.value.try_ == f"soc-deploy report {run}"
        return caught.value

    assert played(tmp_path, story).code == "E_RUN_OVER"


@pytest.mark.parametrize("order", ["approve", "reject"])
def test_an_answer_to_a_run_that_is_over_says_how_it_ended(tmp_path: Path, order: str) -> None:
    async def story(fake: Fake) -> tuple[DeployError, DeployError]:
        run = await fake.begin()
        await fake.users_meet_it()
        errors = []
        for _ in range(2):
            asked = (
                fake.app.approve(run, fake.caller, "terminal")
                if order == "approve"
                else fake.app.reject(run, fake.caller, "no")
            )
            with pytest.raises(DeployError) as caught:
                await asked
            errors.append(caught.value)
            await fake.over(run)
        return errors[0], errors[1]

    early, late = played(tmp_path, story)
    assert (early.code, early.what.split(" ", 1)[1]) == ("E_VERB", "waits for no approval")
    assert (late.code, late.what.split(" ", 1)[1]) == ("E_RUN_OVER", "is over")
    assert late.why == "it ended SUCCEEDED: v1.1.0 serves shop/prod"
    assert late.try_.startswith("soc-deploy report run_")


def test_an_answer_to_nothing_says_so_once(tmp_path: Path) -> None:
    async def story(fake: Fake) -> DeployError:
        with pytest.raises(DeployError) as caught:
            await fake.app.approve("run_ffff", fake.caller, "terminal")
        return caught.value

    error = played(tmp_path, story)
    assert (error.code, error.why) == ("E_APPROVAL_UNKNOWN", "")


def test_an_abort_tells_that_a_person_decided(tmp_path: Path) -> None:
    async def story(fake: Fake) -> tuple[str, list[str]]:
        run = await fake.begin()
        await fake.users_meet_it()
        await fake.app.control(run, "abort", fake.caller, "no")
        await fake.over(run)
        followed = [each.text async for each in fake.app.follow(run, fake.caller)]
        return await fake.app.report(run, fake.caller, "markdown"), followed

    report, followed = played(tmp_path, story)
    assert "**Rollback Triggered**: Yes: by a person (uid:1000), decided" in report
    assert "(stopped by a person)" in report
    assert "operator" not in report
    assert "⚠️ going back: a person (uid:1000), no" in followed


def test_an_abort_on_the_way_is_taken_once_and_the_way_back_is_not_disturbed(tmp_path: Path) -> None:
    async def story(fake: Fake) -> None:
        run = await fake.begin()
        await fake.users_meet_it()
        await fake.app.control(run, "abort", fake.caller, "no")
        await asyncio.sleep(1)
        assert (await fake.app.view(run, fake.caller)).state is State.ABORTING
        await fake.app.control(run, "abort", fake.caller, "no!")
        with pytest.raises(DeployError, match="cannot promote"):
            await fake.app.control(run, "promote", fake.caller)
        await fake.over(run)
        assert (await fake.app.view(run, fake.caller)).state is State.ROLLED_BACK

    played(tmp_path, story)
