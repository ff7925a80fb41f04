"""Nobody gave leave to go back: a bad canary waits for a person, but not with users on it for ever."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Make
from tests.support.processes import wait_for
from tests.support.product import LENIENT, visited

SOON: Mapping[str, Any] = {"deploy": {"decision_timeout": "6s"}}


def test_a_bad_canary_pauses_retreats_and_goes_back_when_told(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    with visited(shop, tmp_path, SOON, rate=150):
        run = shop.begin("v1.4.0", "--strategy", "canary")  # 300 ms slower
        paused = shop.wait(run, "PAUSED")
        assert paused["reason"] == "health_failed"
        assert "REJECT" in paused["first_line"], paused
        assert [line.split()[:2] for line in paused["next"]] == [["soc-deploy", "abort"]]
        weights = shop.weights(run)
        assert weights in ({"v1.0.0": 50, "v1.4.0": 50}, {"v1.0.0": 100, "v1.4.0": 0}), weights

        for verb in ("resume", "promote"):
            refused = shop.do(verb, run)
            assert refused.exit == 1, refused
            assert "REJECT" in refused.err
            assert "Try:" in refused.err

        wait_for(lambda: shop.weights(run) == {"v1.0.0": 100, "v1.4.0": 0}, 90)
        assert shop.view(run)["state"] == "PAUSED"
        assert "v1.4.0 is kept at weight 0" in shop.report(run).out

        assert shop.do("abort", run).exit == 0
        ended = shop.do("status", run, "--watch", "--plain")
    assert (ended.exit, ended.status) == (3, "⚠️ ROLLBACK"), ended
    assert shop.answered_by() == "v1.0.0"
    assert shop.weights(run) == {"v1.0.0": 100}
