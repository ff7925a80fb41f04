"""Values to choose from while a prompt or a resource address is typed. Only what the caller may see."""

from collections.abc import Awaitable, Callable, Iterable

from mcp.server import MCPServer
from mcp.types import Completion, CompletionArgument, CompletionContext, PromptReference, ResourceTemplateReference

from soc_deploy_mcp.core.config.settings import ENVIRONMENTS, STRATEGIES
from soc_deploy_mcp.interfaces.doors import App
from soc_deploy_mcp.interfaces.mcp.caller import Peer, caller

_MOST = 100
_ACTIONS = ("deploy", "rollback")

Reference = PromptReference | ResourceTemplateReference
Complete = Callable[[Reference, CompletionArgument, CompletionContext | None], Awaitable[Completion | None]]


def completing(app: App) -> Complete:
    async def complete(
        ref: Reference, argument: CompletionArgument, context: CompletionContext | None
    ) -> Completion | None:
        return _completion(await _choices(app, ref, argument.name), argument.value)

    return complete


async def _choices(app: App, ref: Reference, name: str) -> Iterable[str]:
    if isinstance(ref, ResourceTemplateReference):
        return [view.id for view in await app.runs(caller())] if name == "run_id" else ()
    fixed = {"action": _ACTIONS, "environment": ENVIRONMENTS, "strategy": STRATEGIES}
    if name in fixed:
        return fixed[name]
    views = await app.runs(caller()) if name in ("target", "version") else ()
    if name == "target":
        return [*ENVIRONMENTS, *(view.target.partition("/")[0] for view in views)]
    return [view.version for view in views if view.version]


def _completion(choices: Iterable[str], begun: str) -> Completion:
    fitting = [choice for choice in dict.fromkeys(choices) if choice.startswith(begun)]
    return Completion(values=fitting[:_MOST], total=len(fitting), has_more=len(fitting) > _MOST)


def register(server: MCPServer[Peer], app: App) -> None:
    server.completion()(completing(app))  # type: ignore[no-untyped-call]  # the SDK's own gap
