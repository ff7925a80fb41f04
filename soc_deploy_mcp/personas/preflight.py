"""The preflight list of each action, in the specification's order: validate, health, permission, gate.

Inside a phase all checks run and all failures are shown together; a failed required check ends the list after its
phase.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from soc_deploy_mcp.core.evidence import Check, Facts
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.request import Request
from soc_deploy_mcp.personas.checks import REGISTRY, Case

PHASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Validate",
        (
            *("v.command", "v.config", "v.secrets_are_refs", "v.artifact_fixed", "v.strategy", "v.health_contract"),
            *("v.plan", "v.estimate"),
        ),
    ),
    (
        "Health",
        ("h.observed", "h.no_unfinished_run", "h.no_drift", "h.health_known", "h.metrics_fresh", "h.capacity"),
    ),
    ("Permission", ("p.tool_versions", "p.identity", "p.can_do")),
    ("Gate", ("g.tests", "g.scan_ran", "g.migrations", "g.rollback", "g.error_budget", "g.power")),
)
# Nobody waits for these: they are said, their boxes stay open, and the gate does not close.
ADVISORY = frozenset({"g.scan_ran", "g.error_budget"})
ADVISORY_IN_DEV = frozenset({"g.tests"})
# A rollback is the way out of trouble: what describes the trouble must not stop it.
ADVISORY_FOR_ROLLBACK = frozenset({"h.no_unfinished_run", "h.no_drift", "h.health_known", "h.metrics_fresh"})
NOT_FOR_ROLLBACK = frozenset({"g.tests", "g.scan_ran", "g.error_budget", "g.power", "v.health_contract"})
# The lock is taken with the approval; a dry run only shows who holds it.
SHOWN_IN_DRY_RUN = frozenset({"h.no_unfinished_run", "g.tests"})


@dataclass(frozen=True, slots=True)
class Preflight:
    checks: tuple[Check, ...]

    @property
    def blocking(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.blocks)


def run(request: Request, plan: Plan, facts: Facts) -> Preflight:
    """All checks of the list, or those up to the first phase with a failure that blocks."""
    checks: list[Check] = []
    for _, ids in PHASES:
        checks += _phase(ids, request, plan, facts)
        if any(check.blocks for check in checks):
            break
    return Preflight(tuple(checks))


def _phase(ids: tuple[str, ...], request: Request, plan: Plan, facts: Facts) -> Iterator[Check]:
    for id_ in ids:
        if plan.action == "rollback" and id_ in NOT_FOR_ROLLBACK:
            continue
        yield REGISTRY[id_][1](Case(request, plan, facts, required=required(id_, request, plan)))


def _must_see(plan: Plan) -> bool:
    """A production canary that nobody could judge is refused, unless somebody wrote that it may be blind."""
    judge = plan.settings.judge
    return (
        plan.target.environment == "prod"
        and plan.strategy == "canary"
        and judge.synthetic == "off"
        and not judge.allow_blind
    )


def required(id_: str, request: Request, plan: Plan) -> bool:
    """Does this check close the gate when it fails or did not run?"""
    if id_ in ADVISORY or (request.dry_run and id_ in SHOWN_IN_DRY_RUN):
        return False
    if plan.target.environment == "dev" and id_ in ADVISORY_IN_DEV:
        return False
    if id_ == "g.power":
        return _must_see(plan)
    return not (plan.action == "rollback" and id_ in ADVISORY_FOR_ROLLBACK)
