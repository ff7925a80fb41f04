"""From what was gathered to a plan. Pure: every fact is passed in, equal facts give an equal hash."""

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.actions.deploy import migrations as mig
from soc_deploy_mcp.actions.deploy.readers import Gathered
from soc_deploy_mcp.actions.deploy.strategies import PlanContext, steps
from soc_deploy_mcp.core.config import Strategy
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.plan import Advice, Bake, Judge, Op, Plan, Settle, Step, StepPower, Verify, Waiver, WayBack
from soc_deploy_mcp.core.request import Request

DEFAULT: Strategy = "rolling"  # the specification's
OP_S = 3.0  # a usual operation that waits for nothing: for estimates only
HOT_BACK_S = 5.0


def plan(request: Request, seen: Gathered, power: tuple[StepPower, ...] = ()) -> Plan:
    """The frozen plan of a deploy. Raises E_MIGRATION_CHANGED, E_VALUE (recreate that must be accepted by name)."""
    strategy = carried(request.strategy or DEFAULT, seen)
    deploy = seen.settings.deploy
    if changed := mig.changed(seen.new.spec.migrations, seen.history.applied, seen.checksums):
        raise DeployError(
            "E_MIGRATION_CHANGED",
            f"migration {changed[0]} was applied with other content than it has in {seen.new.version}",
            "a migration runs once; what it did cannot change afterwards",
            "give the new content a new id under services.<name>.migrations",
        )
    if strategy == "recreate" and deploy.require_accept_downtime and not request.accept_downtime:
        raise DeployError(
            "E_VALUE",
            "recreate stops the old release first, and this environment wants that accepted by name",
            "deploy.require_accept_downtime is set",
            f"soc-deploy {seen.target.environment} --action deploy --version {seen.new.version} "
            "--strategy recreate --accept-downtime",
        )
    due = mig.due(seen.new.spec.migrations, seen.history.applied)
    ctx = PlanContext(new=seen.new, old=seen.old, settings=seen.settings, migrations=due)
    made = () if seen.no_change else steps(strategy, ctx)
    return Plan(
        action="deploy",
        target=seen.target,
        strategy=strategy,
        new=seen.new,
        old=seen.old,
        steps=made,
        way_back=way_back(seen),
        settings=seen.settings,
        auto_rollback=request.auto_rollback or deploy.auto_rollback,
        waivers=waivers(request),
        reason=request.reason,
        advice=Advice(
            power=power,
            risks=risks(seen, strategy, request.strategy or DEFAULT),
            duration_s=duration(made),
            downtime_s=sum(OP_S for _ in made) if strategy == "recreate" and seen.old else None,
            back_s=back_estimate(seen),
            back_basis="measured on this target" if seen.history.back_s else "one router write and its confirmation",
        ),
    )


def carried(asked: Strategy, seen: Gathered) -> Strategy:
    """R4: who answers nobody does not stop the fix. No share of the users can be left with such a release, so the new
    one gets all of them at once, behind its smoke tests."""
    return "blue-green" if seen.old_down and asked in ("canary", "rolling") else asked


def way_back(seen: Gathered) -> WayBack:
    """Where this deploy goes back to: the release that serves now. Without one there is nothing to return to."""
    if seen.old is None:
        return lin.previous_stable(
            seen.history.lineage,
            seen.new.slug,
            lambda release: seen.gone.get(release.slug, ""),
            lambda life: mig.risk_after(life, seen.history.applied),
        )
    life = seen.history.lineage.lives.get(seen.old.slug)
    known = "stable" if life and life.became_stable is not None else "serving, never marked stable"
    now = "answers nobody now" if seen.old_down else "running, stays hot until the end"
    return WayBack(release=seen.old, why=f"{seen.old.version}: {known}, {now}")


def waivers(request: Request) -> tuple[Waiver, ...]:
    typed = (("g.tests", "--skip-tests", request.skip_tests), ("g.scan_ran", "--skip-security", request.skip_security))
    return tuple(Waiver(check=check, flag=flag) for check, flag, given in typed if given)


def risks(seen: Gathered, strategy: Strategy, asked: Strategy) -> tuple[str, ...]:
    """What somebody who approves should know."""
    found = list(seen.warnings)
    if strategy != asked and seen.old is not None:
        everybody = f"{seen.new.version} gets everybody at once ({strategy} instead of {asked})"
        found.append(f"{seen.old.version} answers nobody: {everybody}, and there is nobody to go back to")
    spec = seen.new.spec
    if strategy == "recreate" and seen.old is not None:
        found.append(f"DOWNTIME: requests wait up to {spec.hold_s:g} s, then they get 503 until the new release is up")
    if spec.instances == 1 and seen.settings.environment == "prod":
        found.append("one instance in prod: a restart of it is an outage")
    life = seen.history.lineage.lives.get(seen.new.slug)
    if life is not None and life.quarantined:
        found.append(f"{seen.new.version} is quarantined ({life.quarantined}) and is deployed again by its name")
    left = mig.left_alone(spec.migrations, seen.history.applied)
    if left:
        names = ", ".join(f"{m.id} ({m.class_})" for m in left)
        found.append(f"not run in a rollout: {names}; run them by hand after the rollback window")
    return tuple(found)


def duration(made: tuple[Step, ...]) -> tuple[float, float]:
    """Seconds (least, most) that a plan takes when nothing goes wrong."""
    ops = [op for step in made for op in step.ops]
    return sum(_least(op) for op in ops), sum(step.deadline_s for step in made)


def _least(op: Op) -> float:
    match op:
        case Judge(min_s=seconds) | Settle(seconds=seconds) | Verify(window_s=seconds):
            return seconds
        case Bake(window_s=seconds):
            return seconds
        case _:
            return OP_S / 3


def back_estimate(seen: Gathered) -> float:
    """p90 of measured rollbacks of this target; without any, what a hot way back takes."""
    measured = sorted(seen.history.back_s)
    return measured[min(len(measured) - 1, int(0.9 * len(measured)))] if measured else HOT_BACK_S
