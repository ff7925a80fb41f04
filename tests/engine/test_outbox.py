"""Messages are kept with their event, sent at least once, and never called sent before somebody has them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.core.event import Entry, Record
from soc_deploy_mcp.core.ids import Instant, RunId
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.outbox import BACK_OFF_S, Later, Message, Outbox, Outgoing, Refused, back_off
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.sqlite import Sqlite
from tests.engine.test_journal import begun, say
from tests.engine.virtual import VirtualClock, run_virtual


def announce(run: Run, record: Record) -> list[Message]:
    if record.kind not in ("plan", "emitted", "decided"):
        return []
    body = {"text": f"{run.name} {record.kind}", "run": run.id}
    return [Message(event=record.kind, channel="ops", label="#ops", body=body)]


class Post:
    """A receiver: answers from a list of outcomes, then accepts everything."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.got: list[tuple[float, Outgoing]] = []

    async def __call__(self, message: Outgoing) -> str:
        self.got.append((asyncio.get_running_loop().time(), message))
        outcome = self.outcomes.pop(0) if self.outcomes else "HTTP 200"
        if isinstance(outcome, Exception):
            raise outcome
        if outcome == "hang":
            await asyncio.sleep(1e9)
        return str(outcome)

    @property
    def times(self) -> list[int]:
        return [round(at) for at, _ in self.got]


class Desk:
    def __init__(self, store: Sqlite, clock: VirtualClock, post: Post) -> None:
        self.store, self.clock, self.post = store, clock, post
        self.outbox = Outbox(announce, post, dice=lambda: 0.5)
        self.journal = Journal(store, follow=[self.outbox.keep])

    async def receipts(self, run: RunId) -> list[tuple[str, str]]:
        rows = [r.payload for r in await self.journal.load(run) if r.kind == "notify"]
        return [(p["status"], p["receipt"]) for p in rows]


def in_virtual(path: Path, post: Post, story: Callable[[Desk], Any]) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        store = Sqlite(path, clock)
        await store.open()
        desk = Desk(store, clock, post)
        working = asyncio.create_task(desk.outbox.run(desk.journal))
        try:
            await story(desk)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await store.close()

    run_virtual(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_a_message_is_sent_at_once_and_its_receipt_is_in_the_runs_chain(path: Path) -> None:
    post = Post()

    async def story(desk: Desk) -> None:
        run = await begun(desk.journal)
        await say(desk.journal, run, "plan", "intent")
        await asyncio.sleep(1)
        (message,) = [m for _, m in post.got]
        assert message.idempotency_key == f"{run}:plan:ops"
        assert message.body == {"text": "shop/prod plan", "run": run}
        assert await desk.receipts(run) == [("queued", ""), ("sent", "HTTP 200")]
        assert await desk.journal.verify(run) is None
        await asyncio.sleep(100_000)
        assert len(post.got) == 1

    in_virtual(path, post, story)


def test_a_message_that_is_rolled_back_with_its_event_is_never_sent(path: Path) -> None:
    post = Post()

    async def story(desk: Desk) -> None:
        run = await begun(desk.journal)

        def work(tx: Any) -> None:
            desk.journal.append(tx, run, 1, Entry(kind="plan"))  # type: ignore[arg-type]
            raise KeyError("full")

        with pytest.raises(KeyError):
            await desk.store.tx(work)
        await asyncio.sleep(10)
        assert post.got == []

    in_virtual(path, post, story)


def test_delays_grow_from_a_second_to_an_hour_and_end_after_a_day(path: Path) -> None:
    post = Post(*[Later("HTTP 503")] * 60)

    async def story(desk: Desk) -> None:
        run = await begun(desk.journal)
        await say(desk.journal, run, "plan")
        await asyncio.sleep(3 * 86_400)
        gaps = [b - a for a, b in zip(post.times, post.times[1:], strict=False)]
        assert gaps[:6] == [1, 5, 30, 120, 600, 3600]
        assert set(gaps[6:]) == {3600}
        assert 86_400 - 3700 < post.times[-1] <= 86_400
        assert await desk.receipts(run) == [("queued", ""), ("failed", "HTTP 503")]

    in_virtual(path, post, story)


@pytest.mark.parametrize(
    ("outcomes", "times", "end"),
    [
        ([Refused("HTTP 404")], [0], ("failed", "HTTP 404")),
        ([Later("HTTP 429", after_s=77), "HTTP 200"], [0, 77], ("sent", "HTTP 200")),
        ([OSError("connection refused"), OSError("x"), "250 OK"], [0, 1, 6], ("sent", "250 OK")),
        (["hang", "HTTP 200"], [0, 31], ("sent", "HTTP 200")),
    ],
)
def test_how_a_receiver_answers(path: Path, outcomes: list[Any], times: list[int], end: tuple[str, str]) -> None:
    post = Post(*outcomes)

    async def story(desk: Desk) -> None:
        run = await begun(desk.journal)
        await say(desk.journal, run, "plan")
        await asyncio.sleep(4000)
        assert post.times == times
        assert await desk.receipts(run) == [("queued", ""), end]
        assert len({m.idempotency_key for _, m in post.got}) == 1

    in_virtual(path, post, story)


def test_one_silent_channel_does_not_hold_up_the_others(path: Path) -> None:
    post = Post("hang")

    async def story(desk: Desk) -> None:
        run = await begun(desk.journal)
        await say(desk.journal, run, "plan", "emitted")
        await asyncio.sleep(1)
        assert [m.event for _, m in post.got] == ["plan", "emitted"]

    in_virtual(path, post, story)


def test_two_senders_on_one_store_send_each_message_once(path: Path) -> None:
    post = Post()

    async def slowly(message: Outgoing) -> str:
        await asyncio.sleep(3)
        return await post(message)

    async def story(desk: Desk) -> None:
        desk.outbox._send = slowly
        other = asyncio.create_task(Outbox(announce, slowly).run(Journal(desk.store)))
        run = await begun(desk.journal)
        await say(desk.journal, run, "plan", "emitted")
        for _ in range(5):
            await desk.outbox.deliver(desk.journal)
        await asyncio.sleep(200)
        other.cancel()
        assert sorted(m.event for _, m in post.got) == ["emitted", "plan"]

    in_virtual(path, post, story)


def test_a_message_for_tomorrow_is_sent_tomorrow(path: Path) -> None:
    post = Post()

    async def story(desk: Desk) -> None:
        run = await begun(desk.journal)
        later = Message(event="review", channel="ops", body={}, not_before=Instant(desk.clock.wall() + 86_400))
        desk.outbox._announce = lambda _, record: [later] if record.kind == "plan" else []
        await say(desk.journal, run, "plan")
        await asyncio.sleep(86_000)
        assert post.got == []
        await asyncio.sleep(1000)
        assert post.times == [86_400]

    in_virtual(path, post, story)


@given(dice=st.floats(0, 1), failures=st.integers(0, 40))
def test_jitter_is_a_fifth_at_most(dice: float, failures: int) -> None:
    base = BACK_OFF_S[failures] if failures < 5 else 3600
    assert 0.8 * base <= back_off(failures, dice) <= 1.2 * base


@given(
    outcomes=st.lists(st.sampled_from(["ok", "later", "refused", "die before", "die after"]), max_size=12),
    events=st.lists(st.sampled_from(["plan", "emitted", "decided"]), min_size=1, max_size=3, unique=True),
)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_under_any_crash_each_event_is_delivered_and_called_sent_only_then(
    tmp_path_factory: pytest.TempPathFactory, outcomes: list[str], events: list[str]
) -> None:
    """A sender that dies says nothing any more: neither whether it sent, nor to whom."""
    delivered: list[str] = []
    refused: list[str] = []

    async def send(message: Outgoing) -> str:
        outcome = outcomes.pop(0) if outcomes else "ok"
        if outcome == "later":
            raise Later("busy")
        if outcome == "refused":
            refused.append(message.event)
            raise Refused("no")
        if outcome != "die before":
            delivered.append(message.event)
        if outcome.startswith("die"):
            dead.set()
            await asyncio.Event().wait()
        return "ok"

    async def main() -> None:
        store = Sqlite(tmp_path_factory.mktemp("outbox") / "journal.db", VirtualClock(asyncio.get_running_loop()))
        await store.open()
        outbox = Outbox(announce, send, dice=lambda: 0.5)
        journal = Journal(store, follow=[outbox.keep])
        run = await begun(journal)
        await say(journal, run, *events)
        for _ in range(16):
            dead.clear()
            working = asyncio.create_task(Outbox(announce, send).run(journal))
            await asyncio.wait(
                {working, asyncio.create_task(dead.wait())}, timeout=10_000, return_when="FIRST_COMPLETED"
            )
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        rows = [r.payload for r in await journal.load(run) if r.kind == "notify"]
        sent = [p["event"] for p in rows if p["status"] == "sent"]
        failed = [p["event"] for p in rows if p["status"] == "failed"]
        assert sorted(sent + failed) == sorted(events)
        assert set(sent) <= set(delivered)
        assert set(failed) <= set(refused)
        await store.close()

    dead = asyncio.Event()
    run_virtual(main())
