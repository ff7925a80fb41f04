"""The states of a run and what people may ask of it in each. Pure; drawn as tables, not as nested ifs.

Priority when several orders wait: abort > pause > resume, promote.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from soc_deploy_mcp.core.event import Finished, GoingBack, Moved, Record, State, VerdictGiven, payload

Verb = Literal["pause", "resume", "promote", "abort", "approve", "reject"]

S = State
_AT_WORK = frozenset({S.RUNNING, S.PROMOTING, S.BAKING})
_BEFORE = frozenset({S.DRAFT, S.PLANNED, S.PREFLIGHT, S.WAITING_APPROVAL, S.QUEUED})

# Which state may follow which. Terminal states have no row: nothing follows them.
FOLLOWS: dict[State, frozenset[State]] = {
    S.DRAFT: frozenset({S.PLANNED, S.FAILED_NO_CHANGE, S.ABORTING}),
    S.PLANNED: frozenset({S.PREFLIGHT, S.SUCCEEDED, S.FAILED_NO_CHANGE, S.ABORTING}),
    S.PREFLIGHT: frozenset({S.WAITING_APPROVAL, S.QUEUED, S.RUNNING, S.DRY_RUN, S.FAILED_NO_CHANGE, S.ABORTING}),
    S.WAITING_APPROVAL: frozenset({S.QUEUED, S.RUNNING, S.FAILED_NO_CHANGE, S.ABORTING}),
    S.QUEUED: frozenset({S.RUNNING, S.FAILED_NO_CHANGE, S.ABORTING}),
    S.RUNNING: frozenset({S.PROMOTING, S.BAKING, S.PAUSED, S.ABORTING, S.SUCCEEDED, S.FAILED_NO_CHANGE}),
    S.PROMOTING: frozenset({S.BAKING, S.PAUSED, S.ABORTING, S.SUCCEEDED, S.RUNNING}),
    S.BAKING: frozenset({S.PAUSED, S.ABORTING, S.SUCCEEDED, S.PROMOTING}),
    S.PAUSED: frozenset({S.RUNNING, S.PROMOTING, S.BAKING, S.PAUSED, S.ABORTING}),
    S.ABORTING: frozenset({S.ROLLED_BACK, S.FAILED_NO_CHANGE, S.NEEDS_OPERATOR}),
}

# Reasons of PAUSED that a person may resume from. After a REJECT there is no way forward, only back.
RESUMABLE = frozenset({"operator", "inconclusive", "env_unhealthy", "no_data", "drift", "dead_man"})


def may_follow(now: State, then: State) -> bool:
    return then in FOLLOWS.get(now, frozenset())


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands, folded from its journal."""

    state: State
    reason: str = ""
    why: str = ""
    rejected: str = ""  # the judge's word that cannot be taken back
    going_back: bool = False


def standing(records: Iterable[Record]) -> Standing:
    """Fold the rows of a run, in order."""
    now = Standing(State.DRAFT)
    for record in records:
        now = after(now, record)
    return now


def after(now: Standing, record: Record) -> Standing:
    """Where a run stands after one more row."""
    shape = payload(record)
    match shape:
        case Moved():
            return replace(now, state=shape.state, reason=shape.reason, why=shape.why)
        case Finished():
            return replace(now, state=shape.state, reason=shape.reason, why=shape.first_line)
        case GoingBack():
            return replace(now, going_back=True)
        case VerdictGiven() if shape.word in ("REJECT", "ABSOLUTE", "CRASH", "BUDGET"):
            return replace(now, rejected=f"{shape.word} {shape.metric}".strip())
        case _:
            return now


def refusal(standing_now: Standing, verb: Verb) -> str:
    """Why an order cannot be taken now; "" when it can. Abort is taken in every state that is not over."""
    state = standing_now.state
    if state.terminal:
        return "the run is over"
    if verb == "abort":
        return ""
    if verb in ("approve", "reject"):
        return "" if state in (S.PREFLIGHT, S.WAITING_APPROVAL, S.QUEUED) else "it waits for no approval"
    if state in _BEFORE:
        return "it has not started"
    if state is S.ABORTING or standing_now.going_back:
        return "it is on its way back, and there is no way forward from there"
    if verb == "pause":
        return "" if state in _AT_WORK else "it is paused already"
    if standing_now.rejected:
        return f"the judge said {standing_now.rejected}: there is only the way back (abort)"
    if state is S.PAUSED:
        return "" if standing_now.reason in RESUMABLE else f"a run paused for {standing_now.reason} only goes back"
    if verb == "resume":
        return "it is not paused"
    return "" if state in _AT_WORK else "there is nothing to skip"
