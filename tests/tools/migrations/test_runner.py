"""Migrations are run as real processes on a real database file."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from soc_deploy_mcp.core.config.service import Migration
from soc_deploy_mcp.core.redaction import MARK, Redactor
from soc_deploy_mcp.tools import migrations
from tests.engine.builders import until

SCRIPT = """
import os, sqlite3
connection = sqlite3.connect(os.environ["DATABASE"])
connection.execute("ALTER TABLE item ADD COLUMN note TEXT")
print("migrated as", os.environ["PASSWORD"])
"""


def migration(*run, id_="m1", class_="expand"):
    return Migration.model_validate({"id": id_, "class": class_, "run": run})


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "release"
    (root / "sql").mkdir(parents=True)
    (root / "add_note.py").write_text(SCRIPT)
    (root / "sql" / "a.sql").write_text("select 1")
    return root


async def run(release, *argv, timeout=60.0, redactor=None, **env):
    environment = {"PATH": os.environ["PATH"], **env}
    declared = migration(*argv)
    return await migrations.run(
        declared,
        release=release,
        env=environment,
        timeout=timeout,
        redactor=redactor or Redactor(),
        lock=release.parent / "migration.lock",
    )


async def test_it_changes_the_database_and_hides_the_secret(release, tmp_path):
    database = tmp_path / "shop.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE item (id INTEGER)")
    redactor = Redactor(["hunter-number-two"])
    done = await run(
        release,
        sys.executable,
        "add_note.py",
        redactor=redactor,
        DATABASE=str(database),
        PASSWORD="hunter-number-two",
    )
    assert done.ok
    assert done.output == f"migrated as {MARK}"
    assert done.seconds > 0
    columns = [row[1] for row in sqlite3.connect(database).execute("PRAGMA table_info(item)")]
    assert columns == ["id", "note"]


async def test_a_failure_keeps_the_code_and_the_end_of_the_output(release):
    code = "import sys; [print('line', n) for n in range(500)]; sys.exit('no such table: item')"
    done = await run(release, sys.executable, "-c", code)
    assert (done.ok, done.exit_code) == (False, 1)
    lines = done.output.splitlines()
    assert lines[-1] == "no such table: item"
    assert len(lines) == 100


async def test_one_that_hangs_is_ended(release):
    done = await run(release, sys.executable, "-c", "import time; time.sleep(600)", timeout=1)
    assert done.timed_out
    assert not done.ok


async def test_one_that_cannot_start_says_why(release):
    done = await run(release, ".venv/bin/alembic", "upgrade", "head")
    assert (done.ok, done.exit_code) == (False, 127)
    assert done.output == ".venv/bin/alembic: no such file or directory"


def test_the_checksum_covers_the_argv_and_the_files_it_names(release):
    first = migrations.checksum(migration("python", "add_note.py"), release)
    assert migrations.checksum(migration("python", "add_note.py", id_="other", class_="data"), release) == first
    assert migrations.checksum(migration("python", "add_note.py", "--fast"), release) != first
    (release / "unrelated.py").write_text("x")
    assert migrations.checksum(migration("python", "add_note.py"), release) == first
    (release / "add_note.py").write_text(SCRIPT + "#")
    assert migrations.checksum(migration("python", "add_note.py"), release) != first


@pytest.mark.parametrize(
    "argv",
    [
        ("psql", "-f", "sql/a.sql"),
        ("psql", "--file=sql/a.sql"),
        ("sh", "-c", "psql -f 'sql/a.sql' | tee log"),
        ("./sql/a.sql",),
        ("sql/../sql/a.sql",),
    ],
)
def test_a_file_is_found_however_it_is_named(release, argv):
    before = migrations.checksum(migration(*argv), release)
    (release / "sql" / "a.sql").write_text("select 2")
    assert migrations.checksum(migration(*argv), release) != before


def test_what_is_made_on_the_machine_does_not_count(release):
    declared = migration(".venv/bin/alembic", "upgrade", "head", ".", "sql", "/etc/hostname", "../outside", "x" * 5000)
    before = migrations.checksum(declared, release)
    (release.parent / "outside").write_text("x")
    (release / ".venv" / "bin").mkdir(parents=True)
    (release / ".venv" / "bin" / "alembic").write_text("#!/some/release/.venv/bin/python")
    (release / "sql" / "b.sql").write_text("new")
    assert migrations.checksum(declared, release) == before


SLOW = """
import time
for word in ("begins", "ends"):
    with open("told", "a") as file:
        file.write(word + " ")
    time.sleep(1.0)
"""
OWNER = """
import asyncio, os, sys
from pathlib import Path
from soc_deploy_mcp.core.config.service import Migration
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.tools import migrations
release = Path(sys.argv[1])
declared = Migration.model_validate({"id": "m1", "class": "expand", "run": [sys.executable, "slow.py"]})
how = {"env": dict(os.environ), "timeout": 60.0, "redactor": Redactor(), "lock": release.parent / "migration.lock"}
asyncio.run(migrations.run(declared, release=release, **how))
"""


async def test_one_that_outlived_its_owner_is_waited_for(release):
    """A daemon was killed and its successor began again: two of them changed the database at the same time."""
    (release / "slow.py").write_text(SLOW)
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(release)])
    try:
        await until((release / "told").exists)
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert (await run(release, sys.executable, "slow.py")).ok
    assert (release / "told").read_text().split() == ["begins", "ends"] * 2


async def test_one_that_does_not_end_is_told_and_nothing_is_started(release):
    (release / "slow.py").write_text(SLOW)
    first = asyncio.create_task(run(release, sys.executable, "slow.py"))
    await until((release / "told").exists)
    second = await run(release, sys.executable, "slow.py", timeout=0.2)
    assert (second.exit_code, "still runs" in second.output) == (75, True)
    assert (await first).ok
    assert (release / "told").read_text().split() == ["begins", "ends"]
