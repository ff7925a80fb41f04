"""What every store promises, and what SQLite adds to it."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.engine import mounts
from soc_deploy_mcp.engine.sqlite import Sqlite, trouble
from soc_deploy_mcp.engine.store import Store
from tests.engine.builders import opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "journal.db"


@pytest.fixture
async def pair(path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Two processes on one store."""
    async with opened(path) as one, opened(path) as two:
        yield one, two


def add(tx: Any, target: str) -> int:
    return int(tx.change("insert into targets(id) values(?)", target))


def count(tx: Any) -> int:
    return int(tx.one("select count(*) as n from targets")["n"])


async def test_what_was_written_is_read_by_everybody(pair: tuple[Store, Store]) -> None:
    one, two = pair
    assert await one.tx(lambda tx: add(tx, "a")) == 1
    assert await one.read(count) == await two.read(count) == 1
    assert await two.read(lambda tx: tx.one("select * from targets where id='b'")) is None


async def test_a_transaction_that_raises_undoes_everything_and_calls_nobody(pair: tuple[Store, Store]) -> None:
    one, _ = pair
    called: list[str] = []

    def work(tx: Any) -> None:
        tx.on_commit(lambda: called.append("x"))
        add(tx, "a")
        raise LookupError("no")

    with pytest.raises(LookupError):
        await one.tx(work)
    await asyncio.sleep(0.05)
    assert await one.read(count) == 0
    assert called == []


async def test_on_commit_is_called_when_others_can_read_it_and_before_the_writer_goes_on(
    pair: tuple[Store, Store],
) -> None:
    one, _ = pair
    called: list[str] = []

    def work(tx: Any) -> None:
        add(tx, "a")
        tx.on_commit(lambda: called.append("told"))

    await one.tx(work)
    assert called == ["told"]


async def test_a_caller_that_is_cancelled_undoes_nothing_and_the_others_are_told(pair: tuple[Store, Store]) -> None:
    import threading

    one, _ = pair
    inside, go, told = threading.Event(), threading.Event(), asyncio.Event()

    def work(tx: Any) -> None:
        inside.set()
        go.wait(20)
        add(tx, "a")
        tx.on_commit(told.set)

    writing = asyncio.create_task(one.tx(work))
    await asyncio.to_thread(inside.wait, 20)
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing
    go.set()
    await asyncio.wait_for(told.wait(), 20)
    assert await one.read(count) == 1


async def test_two_processes_never_lose_an_update(pair: tuple[Store, Store]) -> None:
    await pair[0].tx(lambda tx: add(tx, "a"))

    def raise_epoch(tx: Any) -> None:
        now = tx.one("select epoch from targets where id='a'")["epoch"]
        tx.change("update targets set epoch=? where id='a'", now + 1)

    await asyncio.gather(*(store.tx(raise_epoch) for store in pair for _ in range(50)))
    assert await pair[0].read(lambda tx: tx.one("select epoch from targets")["epoch"]) == 100


async def test_watch_wakes_after_another_process_wrote_and_not_after_our_own_writes(pair: tuple[Store, Store]) -> None:
    one, two = pair
    woken = asyncio.Event()

    async def wake() -> None:
        woken.set()

    watching = asyncio.create_task(one.watch(wake))
    await asyncio.sleep(0.05)
    await one.tx(lambda tx: add(tx, "ours"))
    await asyncio.sleep(0.35)
    assert not woken.is_set()
    await two.tx(lambda tx: add(tx, "theirs"))
    await asyncio.wait_for(woken.wait(), 20)
    watching.cancel()


async def test_reading_does_not_wait_for_a_writer_and_cannot_write(pair: tuple[Store, Store]) -> None:
    import threading

    one, _ = pair
    inside, go = threading.Event(), threading.Event()

    def slow(tx: Any) -> None:
        add(tx, "a")
        inside.set()
        go.wait(20)

    writing = asyncio.create_task(one.tx(slow))
    await asyncio.to_thread(inside.wait, 20)
    assert await asyncio.wait_for(one.read(count), 20) == 0
    go.set()
    await writing
    with pytest.raises(DeployError, match="E_JOURNAL"):
        await one.read(lambda tx: add(tx, "b"))


# --- SQLite


async def test_files_and_directory_are_ours_alone(path: Path) -> None:
    async with opened(path) as store:
        await store.tx(lambda tx: add(tx, "a"))
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
        assert set(modes) == {"journal.db", "journal.db-wal", "journal.db-shm"}
        assert set(modes.values()) == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    async with opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_clean_close_leaves_one_file(path: Path) -> None:
    async with opened(path) as store:
        await store.tx(lambda tx: add(tx, "a"))
    assert [p.name for p in path.parent.iterdir()] == ["journal.db"]


async def test_opening_again_keeps_what_is_there_and_a_newer_file_is_refused(path: Path) -> None:
    async with opened(path) as store:
        await store.tx(lambda tx: add(tx, "a"))
    async with opened(path) as store:
        assert await store.read(count) == 1
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version=99")
    db.close()
    with pytest.raises(DeployError, match=r"E_HOME_UNFIT: .*newer"):
        async with opened(path):
            pass


async def test_fifty_processes_may_open_a_new_file_at_once(path: Path) -> None:
    stores = [Sqlite(path) for _ in range(12)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.tx(lambda tx, n=n: add(tx, str(n))) for n, store in enumerate(stores)))
    assert await stores[0].read(count) == 12
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_file_that_is_no_database_is_refused_in_words(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(DeployError, match="E_JOURNAL") as error:
        async with opened(path):
            pass
    assert "damaged" in error.value.what
    assert error.value.try_


async def test_a_corrupted_page_is_found_after_an_unclean_stop(path: Path) -> None:
    async with opened(path) as store:
        for n in range(40):
            await store.tx(lambda tx, n=n: [add(tx, f"{n}-{i}") for i in range(40)])
    page = 4096
    damaged = bytearray(path.read_bytes())
    for number in range(3, len(damaged) // page):  # behind the schema
        damaged[number * page : number * page + 64] = os.urandom(64)
    path.write_bytes(damaged)
    Path(f"{path}-wal").write_bytes(b"left behind by a process that was killed")
    with pytest.raises(DeployError, match="E_JOURNAL") as error:
        async with opened(path):
            pass
    assert "unclean stop" in error.value.why or "malformed" in error.value.why


async def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = path.parents[2] / "mountinfo"
    info.write_text(f"36 25 0:32 / {path.parents[1]} rw,relatime shared:1 - nfs4 server:/export rw\n")
    monkeypatch.setattr(mounts, "_MOUNTINFO", info)
    with pytest.raises(DeployError, match=r"E_HOME_UNFIT: .*network file system \(nfs4\)") as error:
        async with opened(path):
            pass
    assert "SOC_DEPLOY_HOME" in error.value.try_


async def test_too_little_room_is_said_before_a_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(path) as store:
        await store.room()
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5 * 2**20))
        with pytest.raises(DeployError, match=r"E_LOW_DISK: .*5 MB left"):
            await store.room()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("SQLITE_FULL", "full"),
        ("SQLITE_IOERR_WRITE", "refuses"),
        ("SQLITE_READONLY_DIRECTORY", "read-only"),
        ("SQLITE_BUSY", "another process"),
        ("SQLITE_CORRUPT", "damaged"),
    ],
)
def test_what_a_person_can_put_right_is_told_apart_from_a_defect(name: str, says: str) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = getattr(sqlite3, name)
    told = trouble(error, Path("/home/x/journal.db"))
    assert told is not None
    assert (told.code, says in told.what + told.why) == ("E_JOURNAL", True)
    error.sqlite_errorcode = sqlite3.SQLITE_ERROR
    assert trouble(error, Path("x")) is None


# --- mounts

INFO = """\
22 27 0:20 / /proc rw,nosuid - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:40 / /home rw shared:2 - nfs4 server:/home rw
31 30 0:41 / /home/a\\040b rw shared:3 master:1 - tmpfs tmpfs rw
33 27 0:43 / /mnt rw - fuse.sshfs host: rw
34 27 0:44 / /twice rw - nfs server:/x rw
35 27 0:45 / /twice rw - ext4 /dev/vdb rw
broken line
"""


@pytest.mark.parametrize(
    ("path_", "kind"),
    [
        ("/srv/x", "ext4"),
        ("/home", "nfs4"),
        ("/home/carol/.soc", "nfs4"),
        ("/home/a b/x", "tmpfs"),
        ("/homes", "ext4"),
        ("/mnt/x", "fuse.sshfs"),
        ("/twice", "ext4"),
    ],
)
def test_the_longest_mount_point_above_a_path_is_its_file_system(path_: str, kind: str) -> None:
    assert mounts.type_of(path_, INFO) == kind
    assert (kind in mounts.REMOTE) == (kind in ("nfs4", "fuse.sshfs"))
