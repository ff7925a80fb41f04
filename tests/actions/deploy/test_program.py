"""What a rollout does in the fake world, from the first write to the terminal state."""

import asyncio
from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import STRATEGIES, Strategy
from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.core.report import markdown
from tests.actions.deploy.scene import Scene
from tests.engine.virtual import VirtualClock, run_virtual
from tests.fakes.platform import Behaviour, FakePlatform


def play(tmp_path: Path, **how: object) -> tuple[Scene, State, str]:
    async def main() -> tuple[Scene, State, str]:
        clock = VirtualClock(asyncio.get_running_loop())
        scene = Scene(FakePlatform(clock), tmp_path / "journal.db", **how)  # type: ignore[arg-type]
        await scene.prepare()
        async with scene.store() as store, scene.node(store) as node:
            state = await scene.play(node)
            return scene, state, markdown(await scene.report(node))

    return run_virtual(main())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_good_release_is_promoted_by_every_strategy(tmp_path: Path, strategy: Strategy) -> None:
    scene, state, report = play(tmp_path, strategy=strategy)
    assert state is State.SUCCEEDED, report
    assert scene.platform.weights == {scene.new.slug: 100}
    assert scene.old.slug not in scene.platform.instances
    assert "✅ SUCCESS" in report
    print(report)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_release_with_errors_is_taken_back_by_every_strategy(tmp_path: Path, strategy: Strategy) -> None:
    scene, state, report = play(tmp_path, strategy=strategy, new_behaviour=Behaviour(errors=0.05))
    assert state is State.ROLLED_BACK, report
    assert scene.platform.weights == {scene.old.slug: 100}
    assert scene.new.slug not in scene.platform.instances
    print(report)
