"""Phase two of preflight: is the environment known, as the journal left it, and big enough?"""

from soc_deploy_mcp.core.evidence import Check
from soc_deploy_mcp.personas.checks.registry import Case, bad, check, not_run, ok, partly

FRESH_S = 60.0


@check("h.observed", "Environment observed")
def observed(case: Case) -> Check:
    found = case.facts.get("observation", case.target, FRESH_S)
    return ok("h.observed", case, found) if found else not_run("h.observed", case, found.reason)


@check("h.no_unfinished_run", "No other run holds the target")
def no_unfinished_run(case: Case) -> Check:
    found = case.facts.get("lineage", case.target, FRESH_S)
    if not found:
        return not_run("h.no_unfinished_run", case, found.reason)
    if holder := found.data["unfinished"]:
        return bad("h.no_unfinished_run", case, f"{holder} holds it", found)
    return ok("h.no_unfinished_run", case, found, "none")


@check("h.no_drift", "Environment is as the journal left it")
def no_drift(case: Case) -> Check:
    found = case.facts.get("drift", case.target, 300.0)
    if not found:
        return not_run("h.no_drift", case, found.reason)
    if found.data["drift"]:
        return bad("h.no_drift", case, found.figure, found)
    return ok("h.no_drift", case, found)


@check("h.health_known", "Health of what runs is known")
def health_known(case: Case) -> Check:
    """Known, not good: a sick active release does not stop the fix for it, unless the settings say so."""
    found = case.facts.get("observation", case.target, FRESH_S)
    if not found:
        return not_run("h.health_known", case, found.reason)
    old = case.plan.old
    if old is not None and case.plan.settings.deploy.stable_unhealthy == "refuse":
        ready, wanted = found.data["ready"].get(str(old.slug), 0), old.spec.instances
        if ready < wanted:
            why = f"{old.version} has {ready} of {wanted} ready, and deploy.stable_unhealthy is refuse"
            return bad("h.health_known", case, why, found)
    return ok("h.health_known", case, found)


@check("h.metrics_fresh", "Metrics answer")
def metrics_fresh(case: Case) -> Check:
    found = case.facts.get("metrics", case.target, FRESH_S)
    if found:
        if found.data["up"]:
            return ok("h.metrics_fresh", case, found)
        return bad("h.metrics_fresh", case, found.figure, found)
    seen = case.facts.get("observation", case.target, FRESH_S)
    if seen and not any(seen.data["ready"].values()):
        return partly("h.metrics_fresh", case, seen, "nothing runs yet, so nothing is measured yet")
    return not_run("h.metrics_fresh", case, found.reason)


@check("h.capacity", "Room for both releases at once")
def capacity(case: Case) -> Check:
    found = case.facts.get("capacity", case.target, 300.0)
    return ok("h.capacity", case, found) if found else not_run("h.capacity", case, found.reason)
