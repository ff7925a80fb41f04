"""From what was understood of a bad line to complete lines that parse: the `try` of every error.

The line is built from fields, never by editing text, so that it parses by construction. What had to be made up
(a version, an environment) makes it a dry run: a program that types suggestions blindly must change nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

from soc_deploy_mcp.core.command.flags import BY_FIELD, CI_PROVIDERS
from soc_deploy_mcp.core.command.infer import (
    HAS_SERVICE,
    HAS_STACK,
    NEEDS_ENVIRONMENT,
    Draft,
    Problem,
    may_have_downtime,
)
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.command.render import render
from soc_deploy_mcp.core.request import Request

EXAMPLE_VERSION: Final = "v2.1.0"
EXAMPLE_ENVIRONMENT: Final = "dev"  # where a line that was typed by mistake does least harm


def lines(problem: Problem, draft: Draft, known: Known) -> str:
    """One complete line for each way out, at least one."""
    ways = [render(complete({**draft.fields, **way}, draft.scope, known), known) for way in problem.choices or ({},)]
    return "\n".join(dict.fromkeys(ways))


def complete(fields: Mapping[str, Any], scope: bool, known: Known) -> Request:
    """A Request that holds everything that can be kept, and what is missing made up."""
    action = fields.get("action") or likely_action(fields, scope)
    kept = {name: value for name, value in fields.items() if _keeps(name, value, fields, action)}
    kept["action"] = action
    invented = False
    if action in NEEDS_ENVIRONMENT and "environment" not in kept:
        kept["environment"], invented = EXAMPLE_ENVIRONMENT, True
    if action == "deploy" and "version" not in kept:
        kept["version"], invented = EXAMPLE_VERSION, True
    if action in HAS_SERVICE and "stack" not in kept and known.services:
        invented = invented or ("service" not in kept and len(known.services) > 1)
        kept.setdefault("service", known.services[0])
    if invented:
        kept["dry_run"] = True
    return Request(**kept)


def likely_action(fields: Mapping[str, Any], scope: bool) -> str:
    """For a suggestion only: a line without an action is never carried out."""
    if scope or fields.get("provider") in CI_PROVIDERS:
        return "pipeline"
    if fields.keys() & {"stack", "provider", "region"}:
        return "provision"
    return "rollback" if "accept_schema_risk" in fields else "deploy"


def _keeps(name: str, value: Any, fields: Mapping[str, Any], action: str) -> bool:
    """Does a field belong to the line that is suggested?"""
    if name == "stack":
        return action in HAS_STACK
    flag = BY_FIELD[name]
    if name == "action" or action not in flag.actions or (flag.kind == "choice" and value not in flag.choices(action)):
        return False
    return name != "accept_downtime" or may_have_downtime(action, fields.get("strategy"))
