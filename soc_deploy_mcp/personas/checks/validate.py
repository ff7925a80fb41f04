"""Phase one of preflight: is what was asked for complete, possible, and fixed to one artifact?"""

from soc_deploy_mcp.core.evidence import Check
from soc_deploy_mcp.core.times import short
from soc_deploy_mcp.personas.checks.registry import Case, bad, check, not_run, ok


@check("v.command", "Command complete")
def command(case: Case) -> Check:
    found = case.facts.only("request")
    return ok("v.command", case, found) if found else not_run("v.command", case, found.reason)


@check("v.config", "Configuration valid")
def config(case: Case) -> Check:
    found = case.facts.only("config")
    return ok("v.config", case, found) if found else not_run("v.config", case, found.reason)


@check("v.secrets_are_refs", "Secret references resolvable")
def secrets(case: Case) -> Check:
    found = case.facts.get("secrets", case.target)
    if not found:
        return not_run("v.secrets_are_refs", case, found.reason)
    missing = found.data["missing"]
    if missing:
        return bad("v.secrets_are_refs", case, f"nothing behind {', '.join(missing)}", found)
    return ok("v.secrets_are_refs", case, found)


@check("v.artifact_fixed", "Artifact fixed by its digest")
def artifact(case: Case) -> Check:
    found = case.facts.get("artifact", case.plan.new.version)
    if not found:
        return not_run("v.artifact_fixed", case, found.reason)
    if found.data["digest"] != case.plan.new.artifact.digest:
        return bad("v.artifact_fixed", case, "the digest is not the one in the plan", found)
    return ok("v.artifact_fixed", case, found)


@check("v.strategy", "Platform can carry the strategy out")
def strategy(case: Case) -> Check:
    found = case.facts.get("capability", case.target)
    if not found:
        return not_run("v.strategy", case, found.reason)
    return ok("v.strategy", case, found)


@check("v.health_contract", "Health targets set")
def health_contract(case: Case) -> Check:
    found = case.facts.only("config")
    if not found:
        return not_run("v.health_contract", case, found.reason)
    targets = case.plan.settings.health_checks
    figure = (
        f"response time {targets.response_time.target}, errors {targets.error_rate.target}, "
        f"cpu {targets.cpu.target}, memory {targets.memory.target}"
    )
    return ok("v.health_contract", case, found, figure)


@check("v.plan", "Every step has a deadline, a verification and an undo")
def steps(case: Case) -> Check:
    found = case.facts.only("plan")
    if not found:
        return not_run("v.plan", case, found.reason)
    loose = [s.row for s in case.plan.steps if s.deadline_s <= 0 or not s.verification or not s.undo]
    if loose:
        return bad("v.plan", case, f"incomplete: {', '.join(loose)}", found)
    return ok("v.plan", case, found, f"{len(case.plan.steps)} steps")


@check("v.estimate", "Duration estimated")
def estimate(case: Case) -> Check:
    found = case.facts.only("plan")
    if not found:
        return not_run("v.estimate", case, found.reason)
    least, most = case.plan.advice.duration_s
    return ok("v.estimate", case, found, f"{short(least)} to {short(most)}")
