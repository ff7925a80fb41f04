"""What runs on a target and what ran there before: for `releases`, `logs` and the live view."""

from typing import Any

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.actions.deploy import migrations as mig
from soc_deploy_mcp.actions.deploy.gather import gone
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.platform import Observation
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.core.report.text import cell
from soc_deploy_mcp.core.request import Caller
from soc_deploy_mcp.core.times import minute
from soc_deploy_mcp.interfaces.application.parts import Parts
from soc_deploy_mcp.personas.reading import Reading


def named(text: str, config: Config, caller: Caller) -> Target:
    """`prod`, `production`, `shop/prod`, or `shop` when it is the only thing missing."""
    known = Known.of(config)
    words = [word for word in text.replace("/", " ").split() if word]
    environments = [e for word in words if (e := known.environment(word))]
    services = [s for word in words if (s := known.service(word))]
    if len(words) != len(environments) + len(services) or len(environments) != 1 or len(services) > 1:
        raise DeployError(
            "E_TARGET",
            f"{text!r} names no target",
            f"an environment (dev, staging, prod), with a service of {', '.join(config.services)} before a slash",
            f"soc-deploy releases {config.services[0]}/prod",
        )
    if not services and len(config.services) > 1:
        names = ", ".join(config.services)
        line = f"soc-deploy releases {config.services[0]}/{environments[0]}"
        raise DeployError("E_SERVICE_MISSING", "several services, and none was named", f"one of: {names}", line)
    return Target(project=caller.project, service=(services or config.services)[0], environment=environments[0])


async def platform(parts: Parts, plan: Plan) -> dict[str, Any]:
    """What is, for people who watch: weights, instances, the entry."""
    try:
        seen = await parts.platform.observe(plan.target)
    except DeployError as error:
        return {"error": error.what}
    return shown(seen)


def shown(seen: Observation) -> dict[str, Any]:
    return {
        "entry": seen.entry,
        "router": seen.router,
        "mode": seen.mode,
        "epoch": seen.epoch,
        "applied": seen.applied,
        "dead_man_s": seen.dead_man.remaining_s if seen.dead_man.armed else None,
        "releases": [
            {
                "version": release.version,
                "slug": slug,
                "weight": seen.weight(slug),
                "ready": release.ready,
                "instances": len(release.instances),
                "restarts": release.restarts,
                "in_flight": sum(i.in_flight for i in release.instances),
            }
            for slug, release in seen.releases.items()
        ],
    }


async def releases(parts: Parts, reading: Reading, target: Target, limit: int) -> dict[str, Any]:
    """The lineage, newest first, and which one a rollback would choose."""
    history = await reading.history(target)
    lost = await gone(history, target, reading)
    current = history.lineage.current
    way = lin.previous_stable(
        history.lineage,
        current.release.slug if current else None,
        lambda release: lost.get(release.slug, ""),
        lambda life: mig.risk_after(life, history.applied),
    )
    refused = {candidate.slug: candidate.refused for candidate in way.candidates}
    lives = list(reversed(history.lineage.lives.values()))[:limit]
    rows = [_row(life, history.lineage, refused.get(life.release.slug, "")) for life in lives]
    back = way.release.version if way.release else None
    seen = await parts.platform.observe(target)
    return {
        "target": target.name,
        "platform": shown(seen),
        "releases": rows,
        "rollback_to": back,
        "rollback_why": way.why,
        "markdown": _markdown(target, rows, back, way.why),
    }


def _row(life: lin.Life, lineage: lin.Lineage, refused: str) -> dict[str, Any]:
    return {
        "version": life.release.version,
        "release": life.release.slug,
        "state": "active" if life.release.slug == lineage.active else life.state,
        "stable": life.became_stable is not None,
        "active_since": life.became_active,
        "run": life.run,
        "quarantined": life.quarantined,
        "not_for_rollback": refused,
    }


def _markdown(target: Target, rows: list[dict[str, Any]], back: str | None, why: str) -> str:
    lines = [f"# Releases of {target.name}", ""]
    if not rows:
        return "\n".join([*lines, "None yet.", ""])
    lines += ["| Version | State | Active since | Rollback |", "|:--------|:------|:-------------|:---------|"]
    for row in rows:
        since = minute(row["active_since"]) if row["active_since"] else "never"
        note = row["quarantined"] or row["not_for_rollback"]
        chosen = "← a rollback goes here" if row["version"] == back and not note else note
        lines.append(f"| {row['version']} | {row['state']} | {since} | {cell(chosen, 80)} |")
    lines += ["", f"A rollback goes to {why}." if back else f"No rollback is possible: {why}.", ""]
    return "\n".join(lines)
