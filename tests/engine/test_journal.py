"""The chain: nobody edits it unseen, and everybody reads it in order."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.core.event import GENESIS, Entry
from soc_deploy_mcp.core.ids import Epoch, RunId
from soc_deploy_mcp.engine.journal import Journal, first_broken
from soc_deploy_mcp.engine.runner import Runner
from tests.engine.builders import opened, opening, target
from tests.engine.virtual import run_virtual

EPOCH = Epoch(1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def begun(journal: Journal, service: str = "shop") -> RunId:
    """A run that nobody carries."""
    runner = Runner(journal, node="local")
    runner.register("walk/1", lambda _: _never, replays=False)
    run, _ = await runner.submit(opening(service=service))
    return run.id


async def _never(_: Any) -> None:
    raise AssertionError


async def say(journal: Journal, run: RunId, *kinds: str, payload: dict[str, Any] | None = None) -> None:
    entries = [Entry(kind=kind, key=kind, payload=payload or {}) for kind in kinds]
    await journal.store.tx(lambda tx: journal.append(tx, run, EPOCH, *entries))


async def test_rows_form_a_chain_that_verifies(path: Path) -> None:
    async with opened(path) as store:
        journal = Journal(store)
        assert await journal.head(RunId("run_none")) == GENESIS
        run = await begun(journal)
        await say(journal, run, "plan", "check", payload={"é": [1, 2.5, None, "\u2028"]})
        rows = await journal.load(run)
        assert [r.seq for r in rows] == [1, 2, 3]
        assert rows[0].prev_hash == GENESIS
        assert [r.prev_hash for r in rows[1:]] == [r.hash for r in rows[:-1]]
        assert await journal.head(run) == rows[-1].hash
        assert [r.seq for r in await journal.load(run, after=2)] == [3]
        assert await journal.verify(run) is None


async def test_a_payload_reads_back_as_it_was_returned(path: Path) -> None:
    async with opened(path) as store:
        journal = Journal(store)
        run = await begun(journal)
        entry = Entry(kind="observed", payload={"a": (1, 2), "b": 1.0})
        (record,) = await store.tx(lambda tx: journal.append(tx, run, EPOCH, entry))
        assert (await journal.load(run))[-1] == record
        assert record.payload == {"a": [1, 2], "b": 1.0}


async def test_a_failed_transaction_leaves_no_row(path: Path) -> None:
    async with opened(path) as store:
        journal = Journal(store)
        run = await begun(journal)

        def work(tx: Any) -> None:
            journal.append(tx, run, EPOCH, Entry(kind="plan"))
            raise KeyError("later")

        with pytest.raises(KeyError):
            await store.tx(work)
        assert [r.kind for r in await journal.load(run)] == ["run"]


async def test_rows_cannot_be_changed_or_deleted_by_us(path: Path) -> None:
    import sqlite3

    async with opened(path) as store:
        journal = Journal(store)
        await begun(journal)
        for statement in ("update journal set kind='x'", "delete from journal"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                await store.tx(lambda tx, s=statement: tx.change(s))


def _edit(rows: list[dict[str, Any]], at: int, how: str) -> list[dict[str, Any]]:
    row = rows[at]
    match how:
        case "drop":
            return rows[:at] + rows[at + 1 :]
        case "swap":
            return [*rows[:at], rows[at + 1], row, *rows[at + 2 :]]
        case "payload":
            row["payload"] = '{"weight":100}'
        case "no json":
            row["payload"] = "{"
        case "at":
            row["at"] += 1
        case "kind":
            row["kind"] += "x"
        case "epoch":
            row["epoch"] += 1
        case "rehashed":  # the row itself is consistent again, the next one no longer continues it
            row["hash"] = "f" * 64
    return rows


@given(
    at=st.integers(1, 4), how=st.sampled_from(["drop", "swap", "payload", "no json", "at", "kind", "epoch", "rehashed"])
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_edit_is_found_at_its_row(tmp_path_factory: pytest.TempPathFactory, at: int, how: str) -> None:
    async def main() -> None:
        async with opened(tmp_path_factory.mktemp("chain") / "journal.db") as store:
            journal = Journal(store)
            run = await begun(journal)
            await say(journal, run, "plan", "check", "verdict", "emitted", "lineage")
            rows = [dict(r) for r in await store.read(lambda tx: tx.all("select * from journal order by seq"))]  # type: ignore[call-overload]
            assert first_broken(rows) is None
            broken = first_broken(_edit(rows, at, how))
            assert broken is not None
            assert broken.seq == at + 1

    run_virtual(main())


async def test_edits_in_the_file_are_found(path: Path) -> None:
    import sqlite3

    async with opened(path) as store:
        journal = Journal(store)
        run = await begun(journal)
        await say(journal, run, "plan", "check")
    with sqlite3.connect(path) as db:
        db.execute("drop trigger journal_rows_stay")
        db.execute('update journal set payload=\'{"line":"other"}\' where seq=2')
    db.close()
    async with opened(path) as store:
        broken = await Journal(store).verify(run)
        assert broken is not None
        assert (broken.seq, broken.why) == (2, "it was changed after it was written")


async def test_rows_of_a_target_come_in_the_order_they_were_written_over_all_its_runs(path: Path) -> None:
    async with opened(path) as store:
        journal = Journal(store)
        one, two, other = await begun(journal), await begun(journal), await begun(journal, "other")
        for run, n in ((one, 1), (two, 2), (other, 3), (one, 4)):
            await say(journal, run, "lineage", "check", payload={"n": n})
        rows = await journal.of_target(target().id, ["lineage", "finished"])
        assert [(r.run, r.payload["n"]) for r in rows] == [(one, 1), (two, 2), (one, 4)]


async def test_tail_gives_what_is_there_then_what_comes_and_ends_with_the_run(path: Path) -> None:
    async with opened(path) as store:
        journal = Journal(store)
        run = await begun(journal)
        seen: asyncio.Queue[int] = asyncio.Queue()

        async def follow() -> None:
            async for record in journal.tail(run, after=1):
                await seen.put(record.seq)

        following = asyncio.create_task(follow())
        for seq, kind in ((2, "plan"), (3, "check")):
            await say(journal, run, kind)
            assert await asyncio.wait_for(seen.get(), 20) == seq
        assert not following.done()

        def end(tx: Any) -> None:
            tx.change("update runs set ended_at=1.0 where id=?", run)
            tx.on_commit(lambda: journal.bell.ring(run))

        await store.tx(end)
        await asyncio.wait_for(following, 20)


async def test_every_payload_passes_the_redactor_and_what_follows_is_in_the_same_transaction(path: Path) -> None:
    async with opened(path) as store:

        def redact(payload: dict[str, Any]) -> dict[str, Any]:
            return {k: "***" if v == "hunter2" else v for k, v in payload.items()}

        def follow(_: Any, record: Any) -> list[Entry]:
            return [Entry(kind="notify", payload={"of": record.seq, "x": "hunter2"})] if record.kind == "plan" else []

        journal = Journal(store, redact, [follow])
        run = await begun(journal)
        entries = (Entry(kind="plan", payload={"p": "hunter2"}), Entry(kind="check"))
        asked = await store.tx(lambda tx: journal.append(tx, run, EPOCH, *entries))
        assert [r.kind for r in asked] == ["plan", "check"]
        rows = await journal.load(run)
        assert [r.kind for r in rows] == ["run", "plan", "check", "notify"]
        assert rows[1].payload == {"p": "***"}
        assert rows[3].payload == {"of": 2, "x": "***"}
        assert await journal.verify(run) is None


async def test_two_processes_write_one_chain(path: Path) -> None:
    async with opened(path) as ours, opened(path) as theirs:
        one, two = Journal(ours), Journal(theirs)
        run = await begun(one)
        await asyncio.gather(*(say(journal, run, "check") for journal in (one, two) for _ in range(40)))
        assert [r.seq for r in await one.load(run)] == list(range(1, 82))
        assert await two.verify(run) is None


async def test_what_is_no_json_is_refused_and_leaves_nothing(path: Path) -> None:
    async with opened(path) as store:
        journal = Journal(store)
        run = await begun(journal)
        for value in (float("nan"), object(), {1, 2}):
            with pytest.raises((ValueError, TypeError)):
                await say(journal, run, "plan", payload={"v": value})
        assert len(await journal.load(run)) == 1
