"""The registry of checks. A check is a pure function of facts and plan; it reads evidence and says what it saw."""

from collections.abc import Callable
from dataclasses import dataclass

from soc_deploy_mcp.core.evidence import Check, CheckState, Evidence, Facts
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.request import Request


@dataclass(frozen=True, slots=True)
class Case:
    """What a check may look at."""

    request: Request
    plan: Plan
    facts: Facts
    required: bool

    @property
    def environment(self) -> str:
        return self.plan.target.environment

    @property
    def target(self) -> str:
        return self.plan.target.name


CheckFn = Callable[[Case], Check]
REGISTRY: dict[str, tuple[str, CheckFn]] = {}


def check(id_: str, title: str) -> Callable[[CheckFn], CheckFn]:
    """Register a check under its id, with the words people read."""

    def register(fn: CheckFn) -> CheckFn:
        REGISTRY[id_] = (title, fn)
        return fn

    return register


def made(
    id_: str, case: Case, state: CheckState, evidence: tuple[Evidence, ...] = (), figure: str = "", reason: str = ""
) -> Check:
    return Check(
        id=id_,
        title=REGISTRY[id_][0],
        state=state,
        figure=figure,
        reason=reason,
        evidence=tuple(e.id for e in evidence),
        required=case.required,
    )


def ok(id_: str, case: Case, evidence: Evidence, figure: str | None = None) -> Check:
    return made(id_, case, CheckState.PASSED, (evidence,), evidence.figure if figure is None else figure)


def partly(id_: str, case: Case, evidence: Evidence, figure: str) -> Check:
    return made(id_, case, CheckState.PARTIAL, (evidence,), figure)


def bad(id_: str, case: Case, reason: str, *evidence: Evidence) -> Check:
    return made(id_, case, CheckState.FAILED, evidence, reason=reason)


def not_run(id_: str, case: Case, reason: str) -> Check:
    return made(id_, case, CheckState.NOT_RUN, reason=reason)


def waived(id_: str, case: Case, reason: str) -> Check:
    return made(id_, case, CheckState.WAIVED, reason=reason)
