"""Phase three of preflight: who acts, with which tools, and may they?"""

from soc_deploy_mcp.core.evidence import Check
from soc_deploy_mcp.personas.checks.registry import Case, check, not_run, ok


@check("p.tool_versions", "Programs found, in tested versions")
def tool_versions(case: Case) -> Check:
    found = case.facts.only("toolchain")
    return ok("p.tool_versions", case, found) if found else not_run("p.tool_versions", case, found.reason)


@check("p.identity", "Identity known")
def identity(case: Case) -> Check:
    found = case.facts.only("identity")
    return ok("p.identity", case, found) if found else not_run("p.identity", case, found.reason)


@check("p.can_do", "Rights for every write of the plan")
def can_do(case: Case) -> Check:
    found = case.facts.get("permission", case.target)
    return ok("p.can_do", case, found) if found else not_run("p.can_do", case, found.reason)
