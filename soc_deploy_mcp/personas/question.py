"""What people are told and asked before a run, rendered from the plan. The same plan gives the same text."""

from collections.abc import Iterator

from soc_deploy_mcp.core.ids import RunId
from soc_deploy_mcp.core.plan import Plan, StepPower
from soc_deploy_mcp.core.times import short


def question(run: RunId, plan: Plan) -> str:
    """Several lines: what, where, the way back, the risks by name. No clock time: asked twice, it is the same."""
    to, old = plan.new, plan.old
    replaces = f"replaces {old.label}" if old else "first release"
    lines = [
        f"Approve run {run}, plan {plan.hash[:12]}",
        f"  {plan.action} {plan.target.service} {to.label} to {plan.target.environment}, {plan.strategy}, {replaces}",
        f"  steps      {', '.join(step.row for step in plan.steps)}",
        f"  way back   {plan.way_back.why}",
        f"  duration   {short(plan.advice.duration_s[0])} to {short(plan.advice.duration_s[1])}",
    ]
    flags = [waiver.flag for waiver in plan.waivers]
    if "--skip-security" in flags:
        lines.append("  HIGH RISK  security skipped")
    if "--skip-tests" in flags:
        lines.append("  WAIVED     tests skipped")
    if plan.strategy == "recreate" and old is not None:
        lines.append(f"  DOWNTIME   about {short(plan.advice.downtime_s or 0)}")
    lines += [f"  risk       {risk}" for risk in plan.advice.risks]
    lines.append("UNGOVERNED: no approver is enrolled; a yes is recorded without proof of a person")
    return "\n".join(lines)


GATE = {
    "nobody": "gate: nobody needs to approve it",
    "flag": "gate: --auto-approve counts as approval A0, nobody was there",
    "person": "gate: waits for a yes (soc-deploy approve RUN, or --auto-approve)",
}


def foretold(plan: Plan) -> Iterator[str]:
    """What a dry run says of the plan: how long, what the judge could see in each step, where it could not go back."""
    least, most = plan.advice.duration_s
    yield f"duration: {short(least)} when all goes well, {short(most)} at most"
    for step in plan.steps:
        seen = [power for power in plan.advice.power if power.key == step.key]
        if seen:
            yield f"{step.row}: the judge could see {', '.join(_sight(power) for power in seen)}"
    for candidate in plan.way_back.candidates:
        if candidate.refused:
            yield f"not a way back: {candidate.version}, {candidate.refused}"


def _sight(power: StepPower) -> str:
    if power.ratio is None:
        return f"no regression of {power.metric}"
    accepted = "not accepted in time" if power.accept_s is None else f"accepted after about {short(power.accept_s)}"
    return f"{power.metric} x{power.ratio:.1f} (healthy: {accepted}, {power.accept_chance:.0%} in time)"
