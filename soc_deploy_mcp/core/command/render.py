"""A Request as the canonical line: `parse(render(request)) == request`."""

import re
import shlex

from soc_deploy_mcp.core.command.flags import FLAGS
from soc_deploy_mcp.core.command.infer import DEFAULT_STACK, INFRASTRUCTURE, PIPELINE
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.request import Request

_BARE = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


def render(request: Request, known: Known | None = None) -> str:
    """`/soc-deploy prod --action deploy --version v2.1.0`; a rollback in the form that reports print.

    A service is left out when `known` says that it is the only one.
    """
    words, said = _target(request)
    if known is not None and known.services == (request.service,):
        said.add("service")
    for flag in FLAGS:
        value = getattr(request, flag.field)
        if flag.field in said or value is None or value is False:
            continue
        words += [flag.spelled] if value is True else _with_value(flag.spelled, value)
    return " ".join(["/soc-deploy", *words])


def _target(request: Request) -> tuple[list[str], set[str]]:
    """The words before the flags, and the fields they say."""
    environment, stack = request.environment, request.stack
    if request.action == "rollback":
        return ["rollback"], {"action"}
    if stack == DEFAULT_STACK and environment:
        return [f"{environment}-{INFRASTRUCTURE[0]}"], {"environment"}
    if stack is not None:
        return [INFRASTRUCTURE[0] if stack == DEFAULT_STACK else stack], set()
    if environment:
        return [environment], {"environment"}
    if request.action == "pipeline":
        return [PIPELINE[0]], set()
    return [request.action], {"action"}


def _with_value(flag: str, value: str) -> list[str]:
    if value.startswith("-"):  # else it would read as the next flag
        return [_quoted(f"{flag}={value}")]
    return [flag, _quoted(value)]


def _quoted(value: str) -> str:
    """As short as it can be for people: double quotes around an apostrophe, unless a shell would expand something."""
    if _BARE.fullmatch(value):
        return value
    if "'" in value and not re.search(r'["\\$!`]', value):
        return f'"{value}"'
    return shlex.quote(value)
