"""The contract's checkboxes and the checks that alone may tick them."""

from soc_deploy_mcp.core.evidence import Check, CheckState
from soc_deploy_mcp.core.report.model import Box

CHECKLIST: tuple[tuple[str, str], ...] = (
    ("g.tests", "All tests passing"),
    ("g.scan_ran", "Security scan passed"),
    ("g.migrations", "Database migrations reviewed"),
    ("g.rollback", "Rollback plan documented"),
    ("n.oncall", "On-call engineer notified"),
)
POST: tuple[tuple[str, str], ...] = (
    ("post.monitoring", "Monitoring dashboards verified"),
    ("post.logs", "Error logs checked"),
    ("post.notified", "Team notified"),
    ("post.runbook", "Runbooks updated"),
    ("post.review", "Post-deploy review scheduled"),
)


def box(title: str, check: Check | None, unreached: str) -> Box:
    """One line. `check.title` may say more than the contract's words: `Team notified in #deployments`."""
    if check is None:
        return Box(title=title, ticked=False, reason=unreached)
    title = check.title if check.title.startswith(title) else title
    if check.state is CheckState.PASSED:
        return Box(title=title, ticked=True, figure=check.figure, evidence=check.evidence)
    reason = check.reason or check.figure
    if check.state is CheckState.PARTIAL:
        reason = f"partial ({check.figure or check.reason})"
    elif check.state is CheckState.WAIVED:
        reason = f"WAIVED {check.reason}"
    elif check.state is CheckState.FAILED:
        reason = f"failed ({check.reason})"
    return Box(title=title, ticked=False, reason=reason, evidence=check.evidence)
