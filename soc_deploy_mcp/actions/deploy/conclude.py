"""When an observation ends, and how. Pure: verdict and clock in, outcome or nothing out."""

from dataclasses import dataclass
from typing import Literal

from soc_deploy_mcp.actions.deploy.decide import Outcome
from soc_deploy_mcp.actions.deploy.judge import Verdict, Word
from soc_deploy_mcp.core.report.text import metric
from soc_deploy_mcp.core.times import short

NO_DATA_GRACE_S = 30.0
ENV_GRACE_S = 60.0
SETTLED_S = 5.0  # who has looked for a shorter time, perhaps since a restart, does not say that there is no evidence

Purpose = Literal["accept", "look", "bake", "back", "hold"]


@dataclass(frozen=True, slots=True)
class Watch:
    """What one observation is for. `accept` waits for evidence, `look` only for trouble, `bake` for the end of a
    window, `back` too, even if nobody came (an emergency does not wait for evidence), `hold` (paused) for a person."""

    purpose: Purpose
    started_at: float
    min_s: float
    max_s: float
    looking_since: float = 0.0  # when this process began to look; `started_at` may be long before a restart


def conclusion(watch: Watch, verdict: Verdict, sick_since: float | None, seen: int, now: float) -> Outcome | None:
    """The end of an observation, or None to look again. `sick_since`: when both releases became sick; `seen`:
    requests of the new release that were counted in it."""
    spent = now - watch.started_at
    if watch.purpose == "hold" and _over(watch, now):  # first: a failure that is known already must not hide it
        return Outcome(end="expired", why="nobody decided in time", seconds=spent, by="clock")
    if verdict.failure:
        return Outcome(end="bad", code=code(verdict), why=why(verdict), seconds=spent)
    settled = now - watch.looking_since >= SETTLED_S
    silent = verdict.word is Word.NO_DATA and verdict.reason != "no_traffic" and settled
    if silent and verdict.since is not None and now - verdict.since >= NO_DATA_GRACE_S:
        return Outcome(end="no_data", code=code(verdict), why=why(verdict), seconds=spent)
    if sick_since is not None and now - sick_since >= ENV_GRACE_S:
        reason = f"both releases are sick for {ENV_GRACE_S:.0f} s ({metric(verdict.metric)})"
        return Outcome(end="env_unhealthy", code="ENV_UNHEALTHY", why=reason, seconds=spent)
    if watch.purpose == "hold":
        return None
    calm = verdict.word not in (Word.NO_DATA, Word.ENV_UNHEALTHY)
    if watch.purpose == "accept" and verdict.word is Word.ACCEPT:
        return Outcome(end="accepted", code="ACCEPT", seconds=spent)
    if watch.purpose == "look" and calm and spent >= watch.min_s and seen > 0:
        return Outcome(end="looked", seconds=spent)
    if watch.purpose in ("bake", "back") and calm and spent >= watch.min_s:
        return Outcome(end="looked", seconds=spent)
    if not _over(watch, now) or not settled:
        return None
    if watch.purpose == "back" and verdict.reason == "no_traffic":
        return Outcome(end="looked", seconds=spent)
    if watch.purpose == "accept" or not _passing(verdict):
        return Outcome(end="hold", code="HOLD", why=f"no decision after {short(spent)}: {why(verdict)}", seconds=spent)
    return None


def _over(watch: Watch, now: float) -> bool:
    return now - watch.started_at >= watch.max_s


def _passing(verdict: Verdict) -> bool:
    """Unknown or sick just now, as after a restart: it ends in a moment, or becomes an outcome of its own."""
    if verdict.word is Word.NO_DATA:
        return verdict.reason != "no_traffic" and verdict.since is not None
    return verdict.word is Word.ENV_UNHEALTHY


def code(verdict: Verdict) -> str:
    """`REJECT errors`, `CRASH`, `NO_DATA canary_silent`."""
    detail = verdict.metric if verdict.word is not Word.NO_DATA else verdict.reason
    return f"{verdict.word} {detail}".strip()


_REASONS = {
    "canary_silent": "the new release answers nobody",
    "no_traffic": "no requests came",
    "no_tick": "nothing could be counted",
    "not_accepted": "not enough evidence yet",
    "worse": "worse than the old release",
    "guard": "past its hard limit",
    "min_samples": "too few requests yet",
    "instances_unknown": "the instances could not be observed",
    "instance_exited": "an instance of the new release ended or restarted",
}


def why(verdict: Verdict) -> str:
    """One line with the figures behind a word."""
    said = _REASONS.get(verdict.reason, verdict.reason.replace("_", " "))
    reading = next((r for r in verdict.readings if r.metric == verdict.metric), None)
    if reading is None:
        return f"{metric(verdict.metric)} {said}".strip()
    counts = f"{reading.canary_run.x}/{reading.canary_run.n:,} new"
    if reading.baseline_run is not None:
        counts += f", {reading.baseline_run.x}/{reading.baseline_run.n:,} old"
    return f"{metric(verdict.metric)}: {said} ({counts})"


def sick_since(before: float | None, verdict: Verdict, now: float) -> float | None:
    """When both releases became sick; None while they are not."""
    if verdict.word is not Word.ENV_UNHEALTHY:
        return None
    return before if before is not None else now


def row_word(outcome: Outcome) -> str:
    """What a step's row says in brackets: `ACCEPT after 2m 10s`, `REJECT: errors`."""
    match outcome.end:
        case "accepted":
            return f"ACCEPT after {short(outcome.seconds)}"
        case "promoted":
            return f"promoted by {outcome.by} after {short(outcome.seconds)}"
        case "looked" | "resumed" | "dead_man" | "expired":
            return ""
        case _:
            word, _, detail = (outcome.code or outcome.end).partition(" ")
            return f"{word}: {metric(detail)}" if detail else word
