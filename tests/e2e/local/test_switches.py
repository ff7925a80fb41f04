"""Users notice nothing: releases change under load, and no request is lost."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.interfaces.cli.demo import repository
from soc_deploy_mcp.tools.local import admin
from tests.e2e.local.scene import Scene
from tests.support.load import load

FIRST = Epoch(1)
PYTHON = ("python3", "server.py", "--port", "{port}")


async def shop(scene: Scene, version: str, **changes: Any) -> Release:
    folder = scene.project / version
    folder.mkdir()
    repository.lay_out(folder, repository.catalogue()[version])
    settings = {"run": PYTHON, "drain_s": 3, "grace_s": 12} | changes
    return await scene.release_from(folder, version, **settings)


@pytest.fixture
async def blue(scene: Scene) -> Release:
    return await shop(scene, "v1.0.0")


@pytest.fixture
async def green(scene: Scene) -> Release:
    return await shop(scene, "v1.1.0")


def versions_of(records: list[dict[str, Any]]) -> Counter[str]:
    return Counter(r["version"] for r in records if not r["error"])


async def test_twenty_switches_between_two_releases_lose_nothing(
    scene: Scene, blue: Release, green: Release, tmp_path: Path
) -> None:
    await scene.serve(blue)
    await scene.platform.ensure(scene.target, green, 2, FIRST)
    with load(scene.entry, tmp_path / "load", rate=120, new=0.3, post=0.4, slow=4, websockets=4) as users:
        for turn in range(20):
            users.wait_sent(40 * (turn + 1))
            here, there = (green, blue) if turn % 2 == 0 else (blue, green)
            seen = await scene.platform.shift(
                scene.target, {here.slug: 100}, FIRST, fallback={there.slug: 100}, lease_s=60, spill_to=there.slug
            )
            assert seen.weights == {here.slug: 100}
        users.wait_sent(900)
        summary = users.stop()
    assert summary["failed"] == 0, summary
    assert summary["sent"] > 900
    assert set(versions_of(users.records())) == {"v1.0.0", "v1.1.0"}
    assert summary["websockets"].get("refused", 0) == 0
    assert b'envoy_response_code_class="5"' not in await admin.metrics_text(scene.place.admin)


async def test_whole_releases_with_start_drain_and_stop_lose_nothing(
    scene: Scene, blue: Release, green: Release, tmp_path: Path
) -> None:
    await scene.serve(blue)
    with load(scene.entry, tmp_path / "load", rate=100, new=0.3, post=0.4, slow=2, websockets=4) as users:
        for old, new in ((blue, green), (green, blue), (blue, green)):
            await scene.platform.ensure(scene.target, new, 2, FIRST)
            await scene.platform.shift(scene.target, {new.slug: 100}, FIRST, spill_to=old.slug)
            await scene.platform.shift(scene.target, {new.slug: 100}, FIRST)
            await scene.platform.drain(scene.target, old.slug, FIRST)
            await scene.platform.remove(scene.target, old.slug, FIRST)
        users.wait_sent(600)
        summary = users.stop()
    assert summary["failed"] == 0, summary
    # A websocket is told to come back (1012), and does.
    assert summary["websockets"]["closed_1012"] >= 4
    assert summary["websockets"]["opened"] >= 8


async def test_rolling_by_single_instances_loses_nothing(
    scene: Scene, blue: Release, green: Release, tmp_path: Path
) -> None:
    await scene.serve(blue, 3)
    with load(scene.entry, tmp_path / "load", rate=100, new=0.3, post=0.4, slow=1) as users:
        for done in (1, 2, 3):
            await scene.platform.ensure(scene.target, green, done, FIRST)
            weights = {green.slug: 100 * done // 3, blue.slug: 100 - 100 * done // 3} if done < 3 else {green.slug: 100}
            await scene.platform.shift(scene.target, weights, FIRST)
            await scene.platform.ensure(scene.target, blue, 3 - done, FIRST)
        users.wait_sent(300)
        summary = users.stop()
    assert summary["failed"] == 0, summary
    assert set((await scene.seen()).releases) == {green.slug}


async def test_the_share_is_what_was_asked_for(scene: Scene, blue: Release, green: Release, tmp_path: Path) -> None:
    """Envoy draws for each request: within 5 standard deviations, which a right router leaves once in millions."""
    await scene.serve(blue)
    await scene.platform.ensure(scene.target, green, 1, FIRST)
    for share in (5, 50):
        await scene.platform.shift(scene.target, {blue.slug: 100 - share, green.slug: share}, FIRST, spill_to=blue.slug)
        with load(scene.entry, tmp_path / f"load{share}", rate=300, post=0) as users:
            users.wait_sent(1200)
            assert users.stop()["failed"] == 0
        got = versions_of(users.records())
        n, p = got.total(), share / 100
        assert abs(got["v1.1.0"] - n * p) < 5 * (n * p * (1 - p)) ** 0.5, got


async def test_recreate_holds_requests_until_somebody_serves(
    scene: Scene, blue: Release, green: Release, tmp_path: Path
) -> None:
    await scene.serve(blue)
    with load(scene.entry, tmp_path / "load", rate=60, new=0.5, post=0.5, timeout=60) as users:
        users.wait_sent(60)
        held = await scene.platform.shift(scene.target, {}, FIRST)
        assert held.mode == "hold"
        await scene.platform.drain(scene.target, blue.slug, FIRST)
        await scene.platform.ensure(scene.target, blue, 0, FIRST)
        assert blue.slug not in (await scene.seen()).releases
        await scene.platform.ensure(scene.target, green, 2, FIRST)
        await scene.platform.shift(scene.target, {green.slug: 100}, FIRST)
        users.wait_sent(200)
        summary = users.stop()
    assert summary["failed"] == 0, summary
    assert set(versions_of(users.records())) == {"v1.0.0", "v1.1.0"}
