"""Phase four of preflight: tests, scans, migrations, the way back, what the judge can see."""

from soc_deploy_mcp.core.evidence import Check, CheckState
from soc_deploy_mcp.personas.checks.registry import Case, bad, check, made, not_run, ok, partly, waived


@check("g.tests", "All tests passing")
def tests(case: Case) -> Check:
    """Ticked by the figures of a run of this commit's tests; a run without figures is half an answer."""
    if case.request.skip_tests:
        return waived("g.tests", case, "by --skip-tests, until the end of this run")
    subject = case.plan.new.artifact.commit or case.plan.new.artifact.digest
    found = case.facts.get("tests", subject)
    if not found:
        why = "dry run" if case.request.dry_run else f"{case.environment} does not wait for tests"
        reason = f"not run ({found.reason if case.required else why})"
        return not_run("g.tests", case, reason)
    figures = found.data
    if figures["exit_code"] != 0 or figures["failed"]:
        return bad("g.tests", case, found.figure, found)
    if figures["passed"] is None:
        return partly("g.tests", case, found, found.figure)
    if figures["passed"] == 0:
        return bad("g.tests", case, f"no test ran: {found.figure}", found)
    return ok("g.tests", case, found)


@check("g.scan_ran", "Security scan passed")
def scan(case: Case) -> Check:
    """No scanner is part of this version. The box stays open; nothing vetoes."""
    if case.request.skip_security:
        return waived("g.scan_ran", case, "by --skip-security: HIGH RISK, security skipped")
    return not_run("g.scan_ran", case, "not run (this version has no scanner)")


@check("g.migrations", "Database migrations reviewed")
def migrations(case: Case) -> Check:
    found = case.facts.get("migrations", case.plan.new.version)
    return ok("g.migrations", case, found) if found else not_run("g.migrations", case, found.reason)


@check("g.rollback", "Rollback plan documented")
def rollback(case: Case) -> Check:
    found = case.facts.get("rollback_target", case.target)
    if not found:
        return not_run("g.rollback", case, found.reason)
    if case.plan.way_back.release is None:
        return partly("g.rollback", case, found, found.figure)
    return ok("g.rollback", case, found)


@check("g.error_budget", "Error budget left")
def error_budget(case: Case) -> Check:
    found = case.facts.get("slo_budget", case.target)
    if not found:
        return not_run("g.error_budget", case, found.reason)
    return partly("g.error_budget", case, found, found.figure)


@check("g.power", "The judge can see a regression")
def power(case: Case) -> Check:
    found = case.facts.get("plan_power", case.target)
    if not found:
        return not_run("g.power", case, found.reason)
    if case.required and not found.data["sees"]:
        return bad("g.power", case, f"{found.figure}; probes are off and judge.allow_blind is false", found)
    state = CheckState.PASSED if found.data["sees"] else CheckState.PARTIAL
    return made("g.power", case, state, (found,), found.figure)
