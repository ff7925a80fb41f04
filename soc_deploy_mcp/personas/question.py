"""What a person is asked before a run, rendered from the plan and nothing else. The same plan gives the same text."""

from soc_deploy_mcp.core.ids import RunId
from soc_deploy_mcp.core.plan import Plan
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
