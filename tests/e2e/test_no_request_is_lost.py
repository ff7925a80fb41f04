"""Switches under load: what the platform loses is counted at the client, and it is nothing.

New and kept-alive connections, two-second requests, websockets that come back. The tests of this file change the
weights more than twenty times between them; each says how often it did.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Make
from tests.support.load import Load
from tests.support.product import LENIENT, Product, visited

USERS = {"rate": 120, "new": 0.3, "slow": 1, "websockets": 3}


def assert_nothing_lost(running: Load) -> dict[str, Any]:
    """Nor was anything answered with an error; and every kind of request was there."""
    summary = running.stop()
    assert (summary["lost"], summary["failed"]) == (0, 0), summary
    kinds = {record["kind"] for record in running.records()}
    assert kinds == {"get", "post", "slow"}
    assert summary["websockets"].get("refused", 0) == 0, summary["websockets"]
    assert summary["websockets"]["opened"] > 3, "no websocket had to come back: nothing was drained"
    return summary


def test_blue_green_and_rollback_lose_nothing(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    with visited(shop, tmp_path, LENIENT, **USERS) as running:
        there = shop.deploy("v1.1.0", "--strategy", "blue-green")
        assert there.exit == 0, there
        back = shop.do("production", "--action", "rollback", "--plain")
        assert (back.exit, back.status) == (0, "⚠️ ROLLBACK"), back
        again = shop.begin("v1.3.0", "--strategy", "blue-green")
        shop.wait_weight(again, 100)
        assert shop.do("abort", again).exit == 0
        assert shop.wait(again)["state"] == "ROLLED_BACK"
        served = assert_nothing_lost(running)["by_version"]
    assert {"v1.0.0", "v1.1.0", "v1.3.0"} <= served.keys()
    assert sum(len(shop.shifts(run)) for run in (there.run, back.run, again)) == 4


def test_a_canary_loses_nothing_whether_it_is_promoted_or_aborted_at_any_step(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    many: Mapping[str, Any] = {"deploy": {"canary": {"steps": [10, 30, 50, 70, 90, 100], "min": "300s", "max": "300s"}}}
    with visited(shop, tmp_path, LENIENT, many, **USERS) as running:
        there = canary_promoted_by_hand(shop, "v1.1.0")
        aborted = [canary_aborted(shop, "v1.3.0", weight) for weight in (10, 50, 90)]
        assert_nothing_lost(running)
    assert shop.shifts(there)[-1].keys() == {shop.slug("v1.1.0")}
    assert shop.answered_by() == "v1.1.0"
    assert sum(len(shop.shifts(run)) for run in (there, *aborted)) == 6 + 2 + 4 + 6


def canary_promoted_by_hand(shop: Product, version: str) -> str:
    """Nobody waits for the judge here."""
    run = shop.begin(version, "--strategy", "canary")
    for weight in (10, 30, 50, 70, 90):
        shop.wait_weight(run, weight)
        shop.do("promote", run)
    assert shop.wait(run)["state"] == "SUCCEEDED"
    return run


def canary_aborted(shop: Product, version: str, at: int) -> str:
    run = shop.begin(version, "--strategy", "canary")
    for weight in (10, 30, 50, 70, 90):
        shop.wait_weight(run, weight)
        if weight == at:
            break
        shop.do("promote", run)
    shop.do("abort", run)
    assert shop.wait(run)["state"] == "ROLLED_BACK"
    return run


def test_rolling_loses_nothing_forwards_or_backwards(make: Make, tmp_path: Path) -> None:
    three: Mapping[str, Any] = {"services": {"shop": {"instances": 3}}}
    shop = make(LENIENT, three)
    with visited(shop, tmp_path, LENIENT, three, **USERS) as running:
        there = shop.deploy("v1.1.0", "--strategy", "rolling")
        assert there.exit == 0, there
        halfway = shop.begin("v1.3.0", "--strategy", "rolling")
        shop.wait_weight(halfway, 66)
        shop.do("abort", halfway)
        assert shop.wait(halfway)["state"] == "ROLLED_BACK"
        assert_nothing_lost(running)
    assert shop.answered_by() == "v1.1.0"
    assert len(shop.shifts(there.run)) == 3
    assert len(shop.shifts(halfway)) >= 3, "two batches there, and one write back: two of three old ones still served"


def test_recreate_holds_requests_and_loses_none(make: Make, tmp_path: Path) -> None:
    patient: Mapping[str, Any] = {"services": {"shop": {"hold_s": 40}}}
    shop = make(LENIENT, patient)
    with visited(shop, tmp_path, LENIENT, patient, **USERS) as running:
        done = shop.deploy("v1.1.0", "--strategy", "recreate")
        assert done.exit == 0, done
        summary = assert_nothing_lost(running)
        slowest = max(record["ms"] for record in running.records() if record["kind"] != "slow")
    assert summary["by_version"].keys() == {"v1.0.0", "v1.1.0"}
    assert slowest > 200, "nobody was held: then nothing was down"
    assert "downtime" in done.out
