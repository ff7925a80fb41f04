"""A yes is for one plan on one target in one state, for a while, once."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Finished, State
from soc_deploy_mcp.core.ids import PlanHash, RunId, TargetId
from soc_deploy_mcp.engine.approvals import Approval, Approvals, Ask, needed
from soc_deploy_mcp.engine.approvals.consume import Binding, consume
from soc_deploy_mcp.engine.approvals.desk import APPROVED, REJECTED
from soc_deploy_mcp.engine.context import Walking
from soc_deploy_mcp.engine.history import History
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.sqlite import Sqlite
from tests.engine.builders import BASELINE, PLAN, Node, ending, opened, passage, started, target, until
from tests.engine.test_journal import begun
from tests.engine.virtual import VirtualClock, run_virtual

HOUR = 3600.0


@pytest.mark.parametrize(
    ("action", "environment", "flag", "who"),
    [
        ("deploy", "dev", False, "nobody"),
        ("deploy", "dev", True, "nobody"),
        ("deploy", "staging", False, "person"),
        ("deploy", "staging", True, "flag"),
        ("deploy", "prod", False, "person"),
        ("deploy", "prod", True, "flag"),
        ("rollback", "prod", False, "nobody"),
        ("rollback", "staging", True, "nobody"),
    ],
)
def test_who_is_asked_without_an_approver(action: Any, environment: Any, flag: bool, who: str) -> None:
    assert needed(action, environment, auto_approve=flag) == who


class Office:
    """Approvals on a store with a clock to turn, and a run that asks."""

    def __init__(self, store: Sqlite, clock: VirtualClock) -> None:
        self.clock, self.store = clock, store
        self.journal = Journal(store)
        self.desk = Approvals(self.journal, new_id=lambda: secrets.token_hex(16))

    async def run(self) -> Run:
        return await History(self.store).get(await begun(self.journal))

    def ask(self, run: Run, **fields: Any) -> Ask:
        standard = {
            "plan_hash": PLAN,
            "baseline": BASELINE,
            "question": "Deploy?",
            "command": f"soc-deploy approve {run.id}",
        }
        return Ask(run=run.id, target=run.target, **standard | fields)

    async def use(self, approval: Approval, run: Run, **fields: Any) -> None:
        binding = Binding(**{"target": run.target, "plan_hash": PLAN, "baseline": BASELINE} | fields)
        await self.store.tx(lambda tx: consume(tx, self.journal, approval.id, run, binding))

    async def kinds(self, run: Run) -> list[str]:
        return [r.kind for r in await self.journal.load(run.id)]


def in_office(path: Path, story: Any) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        store = Sqlite(path, clock)
        await store.open()
        try:
            await story(Office(store, clock))
        finally:
            await store.close()

    run_virtual(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_asked_given_used_and_journalled(path: Path) -> None:
    async def story(office: Office) -> None:
        run = await office.run()
        asked = await office.desk.request(office.ask(run))
        assert (asked.state, asked.wait_until - asked.asked_at) == ("requested", 24 * HOUR)
        assert await office.desk.request(office.ask(run)) == asked
        assert await office.desk.waiting() == [asked]
        given = await office.desk.grant(asked.id, by="uid:1000", channel="terminal")
        assert (given.grade, given.unattended, given.expires_at) == ("A0", False, office.clock.wall() + 4 * HOUR)
        assert await office.desk.grant(asked.id, by="uid:1000", channel="terminal") == given
        await office.use(given, run)
        assert (await office.desk.of_run(run.id)).used_by == run.id  # type: ignore[union-attr]
        assert await office.kinds(run) == [
            "run",
            "approval.requested",
            "approval.granted",
            "signal",
            "approval.consumed",
        ]
        assert await office.desk.waiting() == []

    in_office(path, story)


def test_a_typed_flag_counts_as_a0_and_says_that_nobody_was_there(path: Path) -> None:
    async def story(office: Office) -> None:
        run = await office.run()
        given = await office.desk.give(office.ask(run), by="uid:1000", channel="--auto-approve")
        assert (given.grade, given.unattended, given.state) == ("A0", True, "granted")
        rows = await office.journal.load(run.id)
        assert [r.kind for r in rows] == ["run", "approval.granted", "signal"]
        assert rows[1].payload["unattended"] is True

    in_office(path, story)


def test_an_approval_is_used_once_also_by_fifty_at_once(path: Path) -> None:
    async def story(office: Office) -> None:
        run = await office.run()
        given = await office.desk.give(office.ask(run), by="uid:1", channel="terminal")
        results = await asyncio.gather(*(office.use(given, run) for _ in range(50)), return_exceptions=True)
        codes = sorted(str(getattr(r, "code", r)) for r in results)
        assert codes == ["E_APPROVAL_USED"] * 49 + ["None"]
        assert (await office.kinds(run)).count("approval.consumed") == 1

    in_office(path, story)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"plan_hash": PlanHash("c" * 64)}, "E_APPROVAL_PLAN"),
        ({"baseline": "c" * 64}, "E_APPROVAL_BASELINE"),
        ({"target": TargetId("0123456789ab")}, "E_APPROVAL_BASELINE"),
    ],
)
def test_an_approval_is_bound_to_plan_baseline_and_target(path: Path, changed: dict[str, Any], code: str) -> None:
    async def story(office: Office) -> None:
        run = await office.run()
        given = await office.desk.give(office.ask(run), by="uid:1", channel="terminal")
        with pytest.raises(DeployError, match=code):
            await office.use(given, run, **changed)
        await office.use(given, run)  # a refusal spends nothing

    in_office(path, story)


def test_an_approval_ends_after_four_hours_and_a_wait_after_a_day(path: Path) -> None:
    async def story(office: Office) -> None:
        run = await office.run()
        given = await office.desk.give(office.ask(run), by="uid:1", channel="terminal")
        await asyncio.sleep(4 * HOUR - 1)
        assert await office.desk.usable(run.target, PLAN, BASELINE) == given
        await asyncio.sleep(2)
        assert await office.desk.usable(run.target, PLAN, BASELINE) is None
        with pytest.raises(DeployError, match="E_APPROVAL_EXPIRED"):
            await office.use(given, run)
        asked = await office.desk.request(office.ask(run))
        assert asked.id != given.id
        await asyncio.sleep(24 * HOUR + 1)
        assert await office.desk.waiting() == []
        with pytest.raises(DeployError, match="E_APPROVAL_EXPIRED"):
            await office.desk.grant(asked.id, by="uid:1", channel="terminal")
        await office.desk.request(office.ask(run))  # closes what nobody answered in time
        closed = await office.store.read(lambda tx: tx.one("select state from approvals where id=?", asked.id))
        assert closed is not None
        assert closed["state"] == "expired"

    in_office(path, story)


def test_a_clock_that_went_back_voids_and_one_that_went_ahead_expires(path: Path) -> None:
    async def story(office: Office) -> None:
        run = await office.run()
        given = await office.desk.give(office.ask(run), by="uid:1", channel="terminal")
        office.clock.turn(-HOUR)
        with pytest.raises(DeployError, match=r"E_APPROVAL_EXPIRED: .*clock went back"):
            await office.use(given, run)
        office.clock.turn(HOUR - 20)  # a correction of seconds is no reason
        await office.use(given, run)
        other = await office.desk.give(office.ask(run), by="uid:1", channel="terminal")
        office.clock.turn(5 * HOUR)
        with pytest.raises(DeployError, match="E_APPROVAL_EXPIRED"):
            await office.use(other, run)

    in_office(path, story)


def test_a_question_is_spent_with_its_first_answer(path: Path) -> None:
    async def story(office: Office) -> None:
        run = await office.run()
        asked = await office.desk.request(office.ask(run))
        answers = [office.desk.answer(asked.question_id, True, by="uid:1") for _ in range(20)]
        results = await asyncio.gather(*answers, return_exceptions=True)
        given = [r for r in results if isinstance(r, Approval)]
        assert [(a.grade, a.channel) for a in given] == [("A1", "elicitation")]
        assert {r.code for r in results if isinstance(r, DeployError)} == {"E_APPROVAL_USED"}
        with pytest.raises(DeployError, match="E_APPROVAL_UNKNOWN"):
            await office.desk.answer("q_other", True, by="uid:1")

    in_office(path, story)


def test_a_no_is_final_for_this_plan_and_tightens_a_yes(path: Path) -> None:
    async def story(office: Office) -> None:
        run = await office.run()
        asked = await office.desk.request(office.ask(run))
        given = await office.desk.grant(asked.id, by="uid:1", channel="terminal")
        await office.desk.reject(given.id, by="uid:2", reason="not today")
        with pytest.raises(DeployError, match="E_APPROVAL_UNKNOWN: the approval is rejected"):
            await office.use(given, run)
        with pytest.raises(DeployError, match="E_APPROVAL_USED"):
            await office.desk.grant(given.id, by="uid:1", channel="terminal")
        sent = [r.payload for r in await office.journal.load(run.id) if r.kind == "signal"]
        assert [(s["name"], s["payload"]["reason"]) for s in sent] == [(APPROVED, ""), (REJECTED, "not today")]

    in_office(path, story)


def test_a_plan_made_anew_voids_what_was_said_about_the_old_one(path: Path) -> None:
    async def story(office: Office) -> None:
        run = await office.run()
        old = await office.desk.request(office.ask(run))
        new = await office.desk.request(office.ask(run, plan_hash="c" * 64))
        assert new.id != old.id
        with pytest.raises(DeployError, match="E_APPROVAL_UNKNOWN") as error:
            await office.desk.grant(old.id, by="uid:1", channel="terminal")
        assert error.value.try_ == new.command
        assert [a.id for a in await office.desk.waiting()] == [new.id]

    in_office(path, story)


def test_what_waits_is_found_by_run_and_by_plan_and_a_wrong_id_names_what_waits(path: Path) -> None:
    async def story(office: Office) -> None:
        run = await office.run()
        asked = await office.desk.request(office.ask(run))
        for text in (run.id, run.id[:10], run.id.removeprefix("run_")[:6], PLAN[:12], f"sha256:{PLAN}"):
            assert await office.desk.find(text) == asked
        for text in ("", "run_ffff", PLAN[:11], "%", "c" * 12):
            with pytest.raises(DeployError, match="E_APPROVAL_UNKNOWN") as error:
                await office.desk.find(text)
            assert error.value.try_ == asked.command
        another = await office.desk.request(office.ask(await office.run()))
        with pytest.raises(DeployError, match="E_APPROVAL_UNKNOWN") as error:
            await office.desk.find(PLAN[:12])
        assert another.command in error.value.try_

    in_office(path, story)


def test_a_yes_for_a_plan_known_from_a_dry_run_is_named_by_the_run_that_uses_it(path: Path) -> None:
    async def story(office: Office) -> None:
        dry, real = await office.run(), await office.run()
        await office.desk.give(office.ask(dry), by="uid:1", channel="terminal")
        usable = await office.desk.usable(real.target, PLAN, BASELINE)
        assert usable is not None
        await office.use(usable, real)
        assert await office.kinds(real) == ["run", "approval.granted", "approval.consumed"]

    in_office(path, story)


async def test_approval_lock_and_start_are_one_transaction(path: Path) -> None:
    """A run that finds the target locked keeps its approval; one that passes has spent it."""
    async with opened(path) as store:
        node = Node(store)
        desk = Approvals(node.journal, new_id=lambda: secrets.token_hex(16))
        refused: list[str] = []

        async def walk(ctx: Walking) -> None:
            run = await History(store).get(ctx.run)
            ask = Ask(run=run.id, target=run.target, plan_hash=PLAN, baseline=BASELINE, question="?", command="c")
            given = await desk.give(ask, by="uid:1", channel="--auto-approve")
            try:
                await ctx.pass_gate(passage(approval=given.id))
            except DeployError as error:
                refused.append(f"{error.code} {(await desk.of_run(run.id)).state}")  # type: ignore[union-attr]
                await ctx.emit(Finished(state=State.FAILED_NO_CHANGE), "end")

        async def steps(ctx: Any) -> None:
            await ctx.wait("hold", ("go",), 3600)

        async with started(node.programs(ending(State.SUCCEEDED, steps), walk)):
            first = await node.begin()
            await node.reaches(first, State.RUNNING)
            second = await node.begin()
            assert await node.finish(second) == State.FAILED_NO_CHANGE
            assert refused == ["E_LOCKED granted"]
            assert (await desk.of_run(second)).state == "void"  # type: ignore[union-attr]
            assert (await desk.of_run(first)).state == "consumed"  # type: ignore[union-attr]
            await node.runner.signal(first, "go")
            assert await node.finish(first) == State.SUCCEEDED


async def test_a_yes_wakes_the_run_that_waits_for_it(path: Path) -> None:
    async with opened(path) as store:
        node = Node(store)
        desk = Approvals(node.journal, new_id=lambda: secrets.token_hex(16))
        waits: list[RunId] = []

        async def walk(ctx: Walking) -> None:
            run = await History(store).get(ctx.run)
            ask = Ask(run=run.id, target=run.target, plan_hash=PLAN, baseline=BASELINE, question="?", command="c")
            asked = await desk.request(ask)
            waits.append(ctx.run)
            if asked.state == "requested":
                assert await ctx.wait("approval", (APPROVED, REJECTED), HOUR) is not None
            await ctx.pass_gate(passage(approval=asked.id))

        async def steps(_: Any) -> None:
            return

        async with started(node.programs(ending(State.SUCCEEDED, steps), walk)):
            run = await node.begin()
            await until(lambda: waits)
        # the daemon is restarted: the walk runs again, the question is the same, a yes given meanwhile counts
        await desk.grant((await desk.find(run)).id, by="uid:1", channel="terminal")
        async with started(Node(store).programs(ending(State.SUCCEEDED, steps), walk)) as node:
            assert await node.finish(run) == State.SUCCEEDED
            assert len(await node.kinds(run, "approval.requested")) == 1
            assert waits == [run, run]


# --- any order of anything

moves = st.lists(
    st.sampled_from(["request", "grant", "reject", "answer", "use", "use elsewhere", "new plan", "hours", "day"]),
    max_size=12,
)


@given(moves=moves)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_order_of_events_uses_a_yes_twice_or_without_a_yes(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str]
) -> None:
    async def story(office: Office) -> None:
        run = await office.run()
        ask, said, used = office.ask(run), 0.0, 0
        approval = await office.desk.request(ask)
        refusals: list[DeployError] = []
        for move in moves:
            before = approval
            approval = await _move(office, run, ask, approval, move, refusals)
            if move in ("grant", "answer") and approval.state == "granted" and before.state != "granted":
                said = office.clock.wall()
            if move == "use" and approval.state == "consumed" and before.state != "consumed":
                used += 1
                assert said
                assert before.state == "granted"
                assert office.clock.wall() < said + 4 * HOUR
        assert (await office.kinds(run)).count("approval.consumed") == used
        assert all(e.code.startswith("E_APPROVAL_") and e.what and e.why and e.try_ for e in refusals)
        assert await office.journal.verify(run.id) is None

    in_office(tmp_path_factory.mktemp("approvals") / "journal.db", story)


async def _move(
    office: Office, run: Run, ask: Ask, approval: Approval, move: str, refusals: list[DeployError]
) -> Approval:
    desk = office.desk
    try:
        match move:
            case "request":
                return await desk.request(ask)
            case "grant":
                return await desk.grant(approval.id, by="uid:1", channel="terminal")
            case "reject":
                return await desk.reject(approval.id, by="uid:1", reason="no")
            case "answer":
                return await desk.answer(approval.question_id, True, by="uid:1")
            case "use":
                await office.use(approval, run)
            case "use elsewhere":
                with pytest.raises(DeployError):
                    await office.use(approval, run, target=target("other").id)
            case "new plan":
                await desk.request(office.ask(run, plan_hash="d" * 64))
            case "hours":
                await asyncio.sleep(3 * HOUR)
            case "day":
                await asyncio.sleep(24 * HOUR)
    except DeployError as error:
        refusals.append(error)
    now = await office.store.read(lambda tx: tx.one("select state from approvals where id=?", approval.id))
    assert now is not None
    return approval.model_copy(update={"state": now["state"]})
