"""One parsed command, and who sent it. The origin is set by the door it came through, never by the text."""

from typing import Literal

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.config.settings import Environment, Strategy
from soc_deploy_mcp.core.model import Noun

Action = Literal["provision", "pipeline", "deploy", "rollback", "monitor"]
ACTIONS: tuple[Action, ...] = ("provision", "pipeline", "deploy", "rollback", "monitor")


class Request(Noun):
    """What was asked for, after reading and inference. `None` means: not said."""

    action: Action
    environment: Environment | None = None
    service: str | None = None
    stack: str | None = None  # provision, monitor: the infrastructure meant
    version: str | None = None  # canonical: v2.1.0
    strategy: Strategy | None = None
    dry_run: bool = False
    skip_tests: bool = False
    skip_security: bool = False
    auto_rollback: bool = False  # true: typed; false: the environment's setting decides
    auto_approve: bool = False
    accept_downtime: bool = False
    accept_schema_risk: bool = False
    on_conflict: Literal["reject"] | None = None
    provider: str | None = None
    region: str | None = None
    break_glass: str | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()  # repairs of typographic input, said in the answer


class Caller(Noun):
    """Who asked, as the door knows it. Part of no plan; the owner of the run."""

    kind: Literal["cli", "mcp", "in-process"]
    subject: str  # uid:1000
    client: str = ""  # name and version of the MCP client, or "cli"
    project: str  # absolute path of the project root


def same_request(request: Request, caller: Caller) -> str:
    """The key under which an equal call joins the open run instead of starting a second one."""
    return digest([request.model_dump(mode="json", exclude={"notes"}), caller.subject, caller.project])
