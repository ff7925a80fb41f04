"""Where approvals are asked for and given. The only writer of their table besides the gate, which consumes them."""

from collections.abc import Callable

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import ApprovalAsked
from soc_deploy_mcp.core.ids import Instant, PlanHash, RunId, TargetId
from soc_deploy_mcp.core.times import minute
from soc_deploy_mcp.engine import runs, signals
from soc_deploy_mcp.engine.approvals import record
from soc_deploy_mcp.engine.approvals.consume import given
from soc_deploy_mcp.engine.approvals.record import Approval, ApprovalTimes, Ask, Channel
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.store import Tx

APPROVED, REJECTED = "approved", "rejected"  # signals to the waiting run


class Approvals:
    """`new_id` makes ids that cannot be guessed: 128 random bits, 32 hex digits."""

    def __init__(self, journal: Journal, *, new_id: Callable[[], str], times: ApprovalTimes | None = None) -> None:
        self._journal = journal
        self._store = journal.store
        self._new_id = new_id
        self._times = times or ApprovalTimes()

    async def request(self, ask: Ask) -> Approval:
        """Ask for a yes; the same ask again gives the same approval. One for another plan of the run becomes void."""

        def work(tx: Tx) -> Approval:
            self._expire(tx)
            return self._open(tx, ask) or self._ask(tx, ask)

        return await self._store.tx(work)

    async def give(self, ask: Ask, *, by: str, channel: Channel) -> Approval:
        """A yes that nobody waited for: a typed flag, or a person's for a plan known from a dry run."""

        def work(tx: Tx) -> Approval:
            self._expire(tx)
            return self._grant(tx, self._open(tx, ask) or self._write_down(tx, ask), by, channel)

        return await self._store.tx(work)

    async def grant(self, id_: str, *, by: str, channel: Channel) -> Approval:
        """A person's yes. Raises E_APPROVAL_UNKNOWN, E_APPROVAL_USED, E_APPROVAL_EXPIRED."""
        return await self._store.tx(lambda tx: self._grant(tx, self._answerable(tx, id_), by, channel))

    async def reject(self, id_: str, *, by: str, reason: str) -> Approval:
        """A person's no: final for this ask. Raises as `grant`."""
        return await self._store.tx(lambda tx: self._reject(tx, self._answerable(tx, id_), by, reason))

    async def answer(self, question_id: str, approve: bool, *, by: str, reason: str = "") -> Approval:
        """An answer given in a client. The question is spent with it: the same answer again is E_APPROVAL_USED."""

        def work(tx: Tx) -> Approval:
            found = record.select(tx, "question_id=?", question_id)
            if not found:
                raise self._unknown(tx, question_id)
            if not tx.change("update approvals set question_spent=1 where id=? and question_spent=0", found[0].id):
                raise DeployError(
                    "E_APPROVAL_USED", "the question was answered before", "an answer counts once", found[0].command
                )
            approval = self._answerable(tx, found[0].id)
            if approve:
                return self._grant(tx, approval, by, "elicitation")
            return self._reject(tx, approval, by, reason)

        return await self._store.tx(work)

    async def find(self, text: str) -> Approval:
        """What waits under a run id (or an unambiguous beginning), or a plan hash of 12 or more digits.

        Raises E_APPROVAL_UNKNOWN with the ids that wait.
        """

        def work(tx: Tx) -> Approval:
            waiting = record.select(tx, "state='requested' and wait_until>? order by asked_at", self._store.now())
            plan = text.removeprefix("sha256:")
            named = [a for a in waiting if text and (a.run.startswith(text) or a.run.startswith(f"run_{text}"))]
            planned = [a for a in waiting if len(plan) >= 12 and a.plan_hash.startswith(plan)]
            found = named or planned
            if len({a.run for a in found}) != 1:
                raise self._unknown(tx, text)
            return found[-1]

        return await self._store.read(work)

    async def of_run(self, run: RunId) -> Approval | None:
        """The latest one that this run asked for."""
        found = await self._store.read(lambda tx: record.select(tx, "run=? order by rowid desc limit 1", run))
        return next(iter(found), None)

    async def usable(self, target: TargetId, plan_hash: PlanHash, baseline: str) -> Approval | None:
        """A yes that was given for exactly this and was not used yet."""
        where = "state='granted' and target=? and plan_hash=? and baseline=? and expires_at>? order by rowid limit 1"
        found = await self._store.read(
            lambda tx: record.select(tx, where, target, plan_hash, baseline, self._store.now())
        )
        return next(iter(found), None)

    async def waiting(self) -> list[Approval]:
        where = "state='requested' and wait_until>? order by asked_at"
        return await self._store.read(lambda tx: record.select(tx, where, self._store.now()))

    # --- inside a transaction

    def _open(self, tx: Tx, ask: Ask) -> Approval | None:
        """The approval that is open for this ask. Any other of the same run is void: its plan was made anew."""
        mine = record.select(tx, "run=? and state in ('requested', 'granted')", ask.run)
        same = [a for a in mine if (a.target, a.plan_hash, a.baseline) == (ask.target, ask.plan_hash, ask.baseline)]
        for other in mine:
            if other not in same:
                tx.change("update approvals set state='void', why='the plan was made anew' where id=?", other.id)
        return next(iter(same), None)

    def _ask(self, tx: Tx, ask: Ask) -> Approval:
        approval = self._write_down(tx, ask)
        asked = ApprovalAsked(command=ask.command, expires_at=approval.wait_until, question=ask.question)
        self._journal.append(tx, ask.run, runs.load(tx, ask.run).epoch, asked.entry())
        return approval

    def _write_down(self, tx: Tx, ask: Ask) -> Approval:
        now = self._store.now()
        approval = Approval(
            **ask.model_dump(),
            id=f"apr_{self._new_id()}",
            question_id=f"q_{self._new_id()}",
            state="requested",
            asked_at=now,
            wait_until=Instant(now + self._times.wait),
        )
        record.insert(tx, approval)
        return approval

    def _grant(self, tx: Tx, approval: Approval, by: str, channel: Channel) -> Approval:
        if approval.state == "granted":  # said twice, counts once
            return approval
        now = self._store.now()
        fields = {
            "state": "granted",
            "grade": "A1" if channel == "elicitation" else "A0",
            "granted_by": by,
            "channel": channel,
            "unattended": channel == "--auto-approve",
            "granted_at": now,
            "expires_at": now + self._times.valid,
        }
        granted = Approval.from_json(approval.to_json() | fields)
        tx.change(
            "update approvals set state='granted', grade=?, granted_by=?, channel=?, unattended=?, granted_at=?, "
            "expires_at=? where id=? and state='requested'",
            *(granted.grade, by, channel, int(granted.unattended), now, granted.expires_at, approval.id),
        )
        self._journal.append(tx, approval.run, runs.load(tx, approval.run).epoch, given(granted).entry())
        self._tell(tx, approval, APPROVED, by, "")
        return granted

    def _reject(self, tx: Tx, approval: Approval, by: str, reason: str) -> Approval:
        tx.change("update approvals set state='rejected', why=? where id=?", reason, approval.id)
        self._tell(tx, approval, REJECTED, by, reason)
        return approval.model_copy(update={"state": "rejected", "why": reason})

    def _tell(self, tx: Tx, approval: Approval, name: str, by: str, reason: str) -> None:
        payload = {"approval": approval.id, "reason": reason}
        signals.send(tx, self._journal, approval.run, name, payload, by)

    def _answerable(self, tx: Tx, id_: str) -> Approval:
        approval = record.one(tx, id_)
        if approval is None or approval.state == "void":
            raise self._unknown(tx, id_)
        if approval.state in ("consumed", "rejected"):
            why = f"it is {approval.state}"
            raise DeployError("E_APPROVAL_USED", "it was answered already", why, "soc-deploy status")
        if approval.state == "expired" or (approval.state == "requested" and approval.wait_until <= self._store.now()):
            until = f"it waited until {minute(approval.wait_until)}"
            raise DeployError("E_APPROVAL_EXPIRED", "nobody waits for this any more", until, "soc-deploy status")
        return approval

    def _expire(self, tx: Tx) -> None:
        now = self._store.now()
        tx.change("update approvals set state='expired' where state='requested' and wait_until<=?", now)
        tx.change("update approvals set state='expired' where state='granted' and expires_at<=?", now)

    def _unknown(self, tx: Tx, text: str) -> DeployError:
        waiting = record.select(tx, "state='requested' and wait_until>? order by asked_at", self._store.now())
        try_ = "\n".join(a.command for a in waiting) or "soc-deploy status"
        why = f"{len(waiting)} wait for an answer" if waiting else ""
        return DeployError("E_APPROVAL_UNKNOWN", f"nothing waits for an approval as {text}", why, try_)
