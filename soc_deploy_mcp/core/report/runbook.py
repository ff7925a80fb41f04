"""The block of a runbook that is ours: what runs, how to go back, the first things to look at. Text outside the
markers is never touched."""

from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.times import minute


def markers(environment: str) -> tuple[str, str]:
    """Each environment has a block of its own in the one file of a service."""
    return f"<!-- soc-deploy:begin {environment} -->", f"<!-- soc-deploy:end {environment} -->"


def block(plan: Plan, back: str | None, run: str, at: Instant, *, several: bool) -> str:
    """What somebody needs at three in the morning, between the markers. `back`: version of a rollback, or None."""
    target, now = plan.target, plan.new
    service = f" --service {target.service}" if several else ""
    command = f"soc-deploy rollback --environment {target.environment} --version {back}{service}" if back else None
    checks = plan.settings.health_checks
    targets = (
        f"response time {checks.response_time.target}, errors {checks.error_rate.target}, "
        f"CPU {checks.cpu.target}, memory {checks.memory.target}"
    )
    begin, end = markers(target.environment)
    lines = [
        begin,
        f"## {target.service} on {target.environment}",
        "",
        f"- Runs: {now.version}, artifact sha256 {now.artifact.digest[:12]}, since {minute(at)} ({run})",
        f"- Entry: http://{now.spec.listen}",
        f"- Go back: `{command}`" if command else "- Go back: no earlier release on this target",
        f"- Targets: {targets}",
        "",
        "First checks:",
        f"1. `soc-deploy status` and `soc-deploy releases {target.environment}{service}`: what runs, who holds it.",
        f"2. `soc-deploy logs {target.name}`: the end of each instance's output.",
        f"3. `soc-deploy report {run}`: what the last release changed and what was measured.",
        end,
    ]
    return "\n".join(lines) + "\n"


def spliced(text: str, ours: str, environment: str) -> str | None:
    """The file with our block replaced, or appended when there is none. None: a marker is missing or doubled, so
    nobody can tell what is ours."""
    begin, end_ = markers(environment)
    begins, ends = text.count(begin), text.count(end_)
    if begins == ends == 0:
        return (text.rstrip("\n") + "\n\n" if text.strip() else "") + ours
    start, end = text.find(begin), text.find(end_)
    if begins != 1 or ends != 1 or end < start:
        return None
    return text[:start] + ours + text[end + len(end_) :].removeprefix("\n")
