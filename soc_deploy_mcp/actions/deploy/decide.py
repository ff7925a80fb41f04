"""What follows from what was seen. Pure; the table of docs/auto-rollback.md, row by row."""

from dataclasses import dataclass
from typing import Literal

from soc_deploy_mcp.core.config.settings import DeploySettings
from soc_deploy_mcp.core.model import Noun


class Outcome(Noun):
    """How a long observation ended. Journalled as its result."""

    end: Literal[
        "accepted",  # evidence for every required metric
        "looked",  # the window passed and nothing was wrong; no evidence was demanded
        "promoted",  # a person skipped the rest of the wait
        "bad",  # REJECT, ABSOLUTE, CRASH, BUDGET, canary silent, smoke as users failed
        "no_data",  # nothing was known for longer than the grace
        "env_unhealthy",  # both releases are sick: not the new one's fault
        "hold",  # the time is over without evidence
        "drift",  # somebody else changed the target
        "dead_man",  # the timer beside the router returned the traffic while nobody held it
        "resumed",  # paused: a person said go on
        "expired",  # paused: the time for a decision is over
    ]
    code: str = ""  # REJECT errors, CRASH, NO_DATA canary_silent, …
    why: str = ""
    seconds: float = 0.0
    by: str = "judge"


@dataclass(frozen=True, slots=True)
class GoOn:
    pass


@dataclass(frozen=True, slots=True)
class GoBack:
    code: str
    why: str
    by: str = "judge"


@dataclass(frozen=True, slots=True)
class Pause:
    """Hold where we are. `retreat_after` seconds later (None: never) the traffic goes to 0; the new release is kept."""

    reason: str
    why: str
    retreat_after: float | None


@dataclass(frozen=True, slots=True)
class Again:
    """Put the traffic where the step had it, and observe anew."""

    why: str


Next = GoOn | GoBack | Pause | Again


def after(outcome: Outcome, settings: DeploySettings, *, auto_rollback: bool, extended: bool) -> Next:
    """The next move after an observation; `extended` says that an inconclusive step was extended before."""
    match outcome.end:
        case "accepted" | "looked" | "promoted":
            return GoOn()
        case "bad" | "no_data" if auto_rollback:
            return GoBack(outcome.code, outcome.why, outcome.by)
        case "bad":
            reason = "health_failed"
            retreat = 0.0 if outcome.code.startswith("BUDGET") else settings.decision_timeout
            return Pause(reason, f"{outcome.code}: {outcome.why}", retreat)
        case "no_data":
            return Pause("no_data", outcome.why, settings.decision_timeout)
        case "env_unhealthy":
            return Pause("env_unhealthy", outcome.why, 0.0)
        case "hold" if settings.inconclusive == "rollback":
            return GoBack("HOLD", outcome.why, outcome.by)
        case "hold" if settings.inconclusive == "extend" and not extended:
            return Again("inconclusive, extended once")
        case "hold":
            return Pause("inconclusive", outcome.why, None)
        case "drift":
            return Pause("drift", outcome.why, None)
        case "dead_man":
            return Again(outcome.why)
        case "resumed":
            return Again(f"resumed by {outcome.by}")
        case "expired":
            return GoBack("EXPIRED", outcome.why, "clock")
