"""Each version of the shop is what the catalogue says: the good ones good, each bad one bad in its own way."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from soc_deploy_mcp.interfaces.cli.demo import repository
from tests.support.load import load
from tests.support.processes import wait_for
from tests.support.shop import Shop, shop

pytestmark = pytest.mark.e2e

GOOD = ("v1.0.0", "v1.1.0", "v1.3.0", "v1.5.0")


@pytest.mark.parametrize("tag", repository.catalogue())
def test_the_shops_own_tests_pass(tag: str, tmp_path: Path) -> None:
    repository.lay_out(tmp_path, repository.catalogue()[tag])
    command = [sys.executable, "-m", "unittest", "discover", "-s", "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    ran = re.search(r"Ran (\d+) tests", done.stderr)
    assert ran
    assert int(ran[1]) >= 9


@pytest.mark.parametrize("tag", GOOD)
def test_a_good_version_serves_every_request(tag: str, tmp_path: Path) -> None:
    with shop(tmp_path / "shop", tag) as running, load(running.url, tmp_path / "load", clients=3) as traffic:
        traffic.wait_sent(400)
        summary = traffic.stop()
        assert running.stop() == 0
    assert summary["failed"] == 0
    assert summary["by_version"].keys() == {tag}


@pytest.mark.parametrize(("tag", "share"), [("v2.0.0-errors-2", 0.02), ("v1.2.0", 0.05), ("v2.0.0-errors-50", 0.5)])
def test_a_share_of_the_answers_is_errors(tag: str, share: float, tmp_path: Path) -> None:
    with shop(tmp_path / "shop", tag) as running, load(running.url, tmp_path / "load", clients=3) as traffic:
        traffic.wait_sent(2000)
        pages = [running.get(path)[0] for path in ("/", "/healthz") * 20]
        summary = traffic.stop()
        metrics = running.get("/metrics")[2]
    seen = summary["failed"] / summary["sent"]
    assert abs(seen - share) < 5 * (share * (1 - share) / 2000) ** 0.5  # five standard deviations
    assert summary["by_class"].keys() == {"version"}
    assert set(pages) == {200}  # neither health nor smoke sees it
    counts = {name: int(n) for name, n in re.findall(r"^(checkout\w*)\{.*\} (\d+)$", metrics, re.MULTILINE)}
    assert 0 < counts["checkout_failed_total"] < counts["checkout_total"]


def test_one_version_is_300_ms_slower(tmp_path: Path) -> None:
    fastest = {}
    for tag in ("v1.3.0", "v1.4.0", "v1.5.0"):
        with shop(tmp_path / tag, tag) as running:
            fastest[tag] = min(_took(running, "/items") for _ in range(4))
    assert fastest["v1.4.0"] >= 0.3
    assert max(fastest["v1.3.0"], fastest["v1.5.0"]) < fastest["v1.4.0"] / 2


def _took(running: Shop, path: str) -> float:
    began = time.monotonic()
    assert running.get(path)[0] == 200
    return time.monotonic() - began


def test_crash_ends_the_process_after_it_has_served_for_a_while(tmp_path: Path) -> None:
    began = time.monotonic()
    with shop(tmp_path / "shop", "v2.0.0-crash") as running:
        assert running.get("/items")[0] == 200
        assert running.process.wait(60) == 1
        assert time.monotonic() - began >= 5
        assert "HEAD_OFFICE_URL" in running.log.read_text()


def test_crash_ends_in_order_when_it_is_stopped_before(tmp_path: Path) -> None:
    with shop(tmp_path / "shop", "v2.0.0-crash") as running:
        assert running.stop() == 0


def test_exits_at_start_says_why(tmp_path: Path) -> None:
    with shop(tmp_path / "shop", "v2.0.0-exits-at-start", wait=False) as running:
        assert running.process.wait(60) == 1
        assert running.log.read_text() == "shop: SHOP_REGION is not set\n"


def test_never_ready_listens_and_says_503(tmp_path: Path) -> None:
    with shop(tmp_path / "shop", "v2.0.0-never-ready") as running:
        assert running.get("/healthz")[0] == 503
        assert running.get("/items")[0] == 200


def test_wrong_health_moved_the_page(tmp_path: Path) -> None:
    with shop(tmp_path / "shop", "v2.0.0-wrong-health") as running:
        assert (running.get("/healthz")[0], running.get("/health")[0]) == (404, 200)


def test_slow_start_listens_after_four_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    with shop(tmp_path / "shop", "v2.0.0-slow-start", wait=False) as running:
        wait_for(lambda: "warming up" in running.log.read_text())
        assert not running.listens()
        wait_for(running.listens, 60)
        assert time.monotonic() - began >= 4


def test_leak_grows_without_any_traffic(tmp_path: Path) -> None:
    with shop(tmp_path / "shop", "v2.0.0-leak") as running:
        before = _rss_mb(running)
        wait_for(lambda: _rss_mb(running) > before + 20, 60)


def test_a_good_version_does_not_grow(tmp_path: Path) -> None:
    with shop(tmp_path / "shop", "v1.5.0") as running, load(running.url, tmp_path / "load", clients=3) as traffic:
        traffic.wait_sent(500)
        before = _rss_mb(running)
        traffic.wait_sent(2500)
        assert _rss_mb(running) < before + 10


def _rss_mb(running: Shop) -> float:
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def test_ignores_sigterm_goes_on_serving(tmp_path: Path) -> None:
    with shop(tmp_path / "shop", "v2.0.0-ignores-sigterm") as running:
        running.process.terminate()
        wait_for(lambda: "closing when the last customer has left" in running.log.read_text())
        assert running.get("/items")[0] == 200
        assert running.process.poll() is None


def test_wrong_version_claims_to_be_another(tmp_path: Path) -> None:
    with shop(tmp_path / "shop", "v2.0.0-wrong-version") as running:
        assert running.get("/")[1]["x-shop-version"] == "v1.0.0"
        assert "v2.0.0-wrong-version" in running.get("/")[2]
