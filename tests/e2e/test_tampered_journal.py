"""A journal that somebody edited is not told as if it had happened."""

import sqlite3
from contextlib import closing

from tests.e2e.conftest import Make


def test_no_report_is_made_of_a_row_that_was_changed(make: Make) -> None:
    shop = make()
    run = shop.first().run
    assert shop.do("report", run).exit == 0
    with closing(sqlite3.connect(shop.home / "journal.db", timeout=30)) as journal, journal:
        for (trigger,) in journal.execute("select name from sqlite_master where type='trigger'").fetchall():
            journal.execute(f"drop trigger {trigger}")  # it is append-only for who does not do this
        named = "select min(seq) from journal where run=? and payload like '%v1.0.0%'"
        (row,) = journal.execute(named, (run,)).fetchone()
        change = "update journal set payload=replace(payload, 'v1.0.0', 'v9.9.9') where run=? and seq=?"
        journal.execute(change, (run, row))
    for words in (("report", run), ("report", run, "--format", "json"), ("journal", run)):
        told = shop.do(*words)
        said = told.out + told.err
        assert told.exit == 1, told
        assert "E_JOURNAL_BROKEN" in said
        assert f"row {row}." in said
        assert f"soc-deploy journal {run} --as-is" in said
        assert "v9.9.9" not in said
    assert "v9.9.9" in shop.do("journal", run, "--as-is").out
