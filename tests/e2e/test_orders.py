"""What people may ask of a run while it goes on, and who may hold a target."""

import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from soc_deploy_mcp.interfaces.daemon.client import Client
from tests.e2e.conftest import Make
from tests.support.product import LENIENT, Product, deploying, visited

# Steps that end only when somebody says so.
SLOW: Mapping[str, Any] = {
    "deploy": {"canary": {"steps": [30, 60, 100], "min": "300s", "max": "600s"}, "rollback_window": "60s"}
}


def canary(shop: Product, version: str, weight: int = 30) -> str:
    run = shop.begin(version, "--strategy", "canary")
    shop.wait_weight(run, weight)
    return run


def test_pause_resume_promote_and_abort(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    with visited(shop, tmp_path, LENIENT, SLOW):
        run = canary(shop, "v1.1.0")
        assert shop.do("resume", run).exit == 1, "it is not paused"

        assert shop.do("pause", run).exit == 0
        paused = shop.wait(run, "PAUSED", reason="operator")
        assert [line.split()[1] for line in paused["next"]] == ["resume", "abort"]
        assert shop.report(run).status == "⏸ PAUSED (operator)"
        assert shop.do("pause", run).exit == 1, "it is paused already"
        assert shop.do("resume", run).exit == 0
        shop.wait(run, "RUNNING")

        with closing(Client.open(shop.environ)) as together:
            for _ in range(2):  # said twice in one moment, it skips one wait
                together.call("control", run=run, verb="promote", reason="")
        shop.wait_weight(run, 60)
        for _ in range(5):
            assert shop.weights(run)["v1.1.0"] == 60
        shop.do("promote", run)
        assert shop.wait(run)["state"] == "SUCCEEDED"
        assert shop.answered_by() == "v1.1.0"

        late = shop.do("abort", run)
        assert late.exit == 0, late
        assert "nothing to abort" in late.out
        assert shop.view(run)["state"] == "SUCCEEDED"
        assert shop.do("promote", run).exit == 1
        assert shop.answered_by() == "v1.1.0"


def test_one_run_holds_a_target_and_others_are_told_who(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    with visited(shop, tmp_path, LENIENT, SLOW):
        run = canary(shop, "v1.1.0")
        second = shop.deploy("v1.3.0")
        assert second.exit == 2, second
        assert "E_LOCKED" in second.err
        assert run in second.out
        assert re.search(r"since \d\d:\d\d:\d\d UTC \(.* ago\), started by uid:\d+", second.out), second
        assert f"soc-deploy abort {run}" in second.out
        assert shop.begin("v1.1.0", "--strategy", "canary") == run, "an equal command joins"

        back = shop.do("production", "--action", "rollback", "--plain")
        assert back.run == run
        assert (back.exit, back.status) == (0, "⚠️ ROLLBACK"), back
        assert shop.view(run)["state"] == "ROLLED_BACK"
        assert shop.answered_by() == "v1.0.0"


def test_an_abort_is_taken_after_everybody_was_switched(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    with visited(shop, tmp_path, LENIENT, SLOW):
        run = shop.begin("v1.1.0", "--strategy", "blue-green")
        shop.wait(run, "BAKING")
        assert shop.answered_by() == "v1.1.0"
        aborted = shop.do("abort", run, "--reason", "the shop is red")
        assert aborted.exit == 0, aborted
        ended = shop.do("status", run, "--watch", "--plain")
    assert (ended.exit, ended.status) == (3, "⚠️ ROLLBACK"), ended
    assert "the shop is red" in ended.out
    assert shop.answered_by() == "v1.0.0"
    again = shop.do(*deploying("v1.1.0", "--strategy", "blue-green", "--dry-run"))
    assert "quarantined" in again.out
