"""What a release leaves behind for people: log, report, runbook and, when it was taken back, the incident."""

import json
from pathlib import Path

from tests.e2e.conftest import Make
from tests.support.product import LENIENT, visited


def test_a_release_and_a_way_back_can_be_read_afterwards(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    with visited(shop, tmp_path, rate=150):
        good = shop.deploy("v1.1.0", "--strategy", "canary", "--auto-rollback")
        assert good.exit == 0, good
        kept = shop.repository / ".soc-deploy"
        runbook = (kept / "runbooks/shop.md").read_text()
        bad = shop.deploy("v1.2.0", "--strategy", "canary", "--auto-rollback")
        assert bad.exit == 3, bad

    for done in (good, bad):
        assert (kept / f"reports/{done.run}.md").read_text() == done.out == shop.report(done.run).out
        document = (kept / f"reports/{done.run}.json").read_text()
        assert document == shop.do("report", done.run, "--format", "json").out
        assert json.loads(document)["summary"]["run"] == done.run

    rows = [line for line in (kept / "DEPLOYMENTS.md").read_text().splitlines() if line.startswith("| 20")]
    told = [[cell.strip() for cell in row.split("|")][4:7] for row in rows]
    assert told == [
        ["v1.2.0", "Canary", "⚠️ ROLLBACK"],
        ["v1.1.0", "Canary", "✅ SUCCESS"],
        ["v1.0.0", "Rolling", "✅ SUCCESS"],
    ]
    for row, done in zip(rows, (bad, good), strict=False):
        assert f"](reports/{done.run}.md)" in row

    assert "v1.1.0" in runbook
    assert "v1.0.0" in runbook, "where a way back leads"
    assert (kept / "runbooks/shop.md").read_text() == runbook, "what serves has not changed"
    assert good.box("Runbooks updated") == "[x] Runbooks updated (.soc-deploy/runbooks/shop.md)"
    assert bad.box("Runbooks updated").startswith("[ ]")

    incident = (kept / f"incidents/{bad.run}.md").read_text()
    for word in ("v1.2.0", "v1.1.0", "REJECT", bad.run):
        assert word in incident
    assert f"incidents/{bad.run}.md" in bad.out
    assert (kept / ".gitignore").read_text() == "*\n", "none of it is in the way of the next commit"
