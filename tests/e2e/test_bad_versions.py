"""A bad version is never promoted: whatever is wrong with it, and whatever the strategy."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Make
from tests.support.processes import wait_for
from tests.support.product import LENIENT, Done, Product, visited

# A crash five seconds after the start must fall into what is watched.
WATCHFUL: Mapping[str, Any] = {
    "deploy": {"verify_window": "8s", "rollback_window": "8s", "bake": "8s", "canary": {"min": "6s"}}
}
IMPATIENT: Mapping[str, Any] = {"services": {"shop": {"health": {"start_timeout_s": 4}}}}


def assert_taken_back(shop: Product, done: Done, version: str) -> None:
    assert (done.exit, done.status) == (3, "⚠️ ROLLBACK"), done
    assert_not_promoted(shop, done, version)


def assert_not_promoted(shop: Product, done: Done, version: str) -> None:
    assert shop.answered_by() == "v1.0.0", done
    life = next(row for row in shop.lives() if row["version"] == version)
    assert not life["stable"], life
    assert life["quarantined"], life
    left = [line for line in shop.instances().values() if version.replace(".", "_") + "-" in line]
    assert not left


@pytest.mark.parametrize(
    ("strategy", "bad"),
    [
        # errors of 5 %; 300 ms slower; the process ends after five seconds
        ("blue-green", ("v1.2.0", "v1.4.0", "v2.0.0-crash")),
        ("canary", ("v1.2.0", "v1.4.0", "v2.0.0-crash")),
        ("rolling", ("v1.2.0", "v2.0.0-crash")),
    ],
)
def test_what_users_meet_is_taken_back(make: Make, tmp_path: Path, strategy: str, bad: tuple[str, ...]) -> None:
    shop = make(LENIENT)
    with visited(shop, tmp_path, WATCHFUL, rate=150) as users:
        for version in bad:
            assert_taken_back(shop, shop.deploy(version, "--strategy", strategy, "--auto-rollback"), version)
        summary = users.stop()
    assert summary["by_version"]["v1.0.0"]["failed"] == 0, summary


def test_what_never_becomes_ready_meets_nobody(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    with visited(shop, tmp_path, LENIENT, IMPATIENT, rate=50) as users:
        for version, strategy in (
            ("v2.0.0-never-ready", "rolling"),
            ("v2.0.0-exits-at-start", "blue-green"),
            ("v2.0.0-wrong-health", "canary"),
        ):
            done = shop.deploy(version, "--strategy", strategy)
            assert (done.exit, done.status) == (2, "❌ FAILED"), done
            assert "no user traffic was affected" in done.out
            assert_not_promoted(shop, done, version)
        summary = users.stop()
    assert summary["by_version"].keys() == {"v1.0.0"}
    assert summary["failed"] == 0


def test_a_leak_is_taken_back_before_the_memory_is_gone(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    small: Mapping[str, Any] = {"services": {"shop": {"resources": {"memory_mb": 64}}}}
    with visited(shop, tmp_path, small, {"deploy": {"canary": {"min": "60s"}}}, rate=100):
        done = shop.deploy("v2.0.0-leak", "--strategy", "canary", "--auto-rollback")
    assert_taken_back(shop, done, "v2.0.0-leak")
    assert "memory" in done.field("Rollback Triggered")


def test_without_data_nothing_is_promoted(make: Make) -> None:
    """No users and no probes: the gate refuses what could not be judged; who insists waits for a decision."""
    shop = make(LENIENT)
    shop.first()
    nobody: Mapping[str, Any] = {"judge": {"synthetic": "off"}, "deploy": {"canary": {"max": "3s"}}}
    shop.settings(LENIENT, nobody)
    refused = shop.deploy("v1.1.0", "--strategy", "canary", "--auto-rollback")
    assert (refused.exit, shop.answered_by()) == (2, "v1.0.0"), refused
    shop.settings(LENIENT, nobody, {"judge": {"allow_blind": True}})
    for strategy in ("canary", "rolling"):
        run = shop.begin("v1.1.0", "--strategy", strategy, "--auto-rollback")
        assert shop.wait(run, "PAUSED")["reason"] == "inconclusive"
        aborted = shop.do("abort", run)
        assert aborted.exit == 0, aborted
        assert shop.wait(run)["exit"] == 3
        wait_for(lambda: shop.answered_by() == "v1.0.0")
    assert not any(life["stable"] for life in shop.lives() if life["version"] == "v1.1.0")


def test_a_good_version_is_promoted_by_evidence(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    with visited(shop, tmp_path, rate=150):
        done = shop.deploy("v1.1.0", "--strategy", "canary", "--auto-rollback")
    assert (done.exit, done.status) == (0, "✅ SUCCESS"), done
    assert "ACCEPT" in "".join(done.steps)
    assert "synthetic" not in done.out
    assert done.steps["Shift to 100 %"] == "✅"


def test_probes_do_not_hide_the_users_beside_them(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    with visited(shop, tmp_path, LENIENT, {"judge": {"synthetic": "on"}}, rate=30) as users:
        done = shop.deploy("v1.1.0", "--strategy", "canary", "--auto-rollback")
        summary = users.stop()
    assert (done.exit, done.status) == (0, "✅ SUCCESS"), done
    assert "judged on synthetic traffic" in done.out
    told = re.search(r"0 of ([\d,]+) requests to the new release were answered with an error", done.out)
    assert told, done
    assert int(told[1].replace(",", "")) <= summary["by_version"]["v1.1.0"]["ok"] + 50, "probes were counted as users"
