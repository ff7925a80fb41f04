"""Who calls: what the connection says, with the name that the MCP client gave itself."""

from contextvars import ContextVar
from typing import Any, NamedTuple

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from soc_deploy_mcp.core.request import Caller

_NAME_LIMIT = 80  # characters of a client's name for itself: text from outside


class Peer(NamedTuple):
    """The other end of one connection, for as long as it lasts."""

    caller: Caller
    note: str = ""  # said in every answer: both versions, where they differ


_peer: ContextVar[Peer] = ContextVar("peer")


async def remember(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware: completions and resources get no context from the SDK, and must know whose runs to show."""
    token = _peer.set(_named(ctx))
    try:
        return await call_next(ctx)
    finally:
        _peer.reset(token)


def peer() -> Peer:
    """Of the request that is being answered."""
    return _peer.get()


def caller() -> Caller:
    return peer().caller


def _named(ctx: ServerRequestContext[Any, Any]) -> Peer:
    found: Peer = ctx.lifespan_context
    said = ctx.session.client_params
    if said is None:
        return found
    name = f"{said.client_info.name} {said.client_info.version}"
    shown = "".join(letter for letter in name if letter.isprintable())[:_NAME_LIMIT].strip()
    return found._replace(caller=found.caller.model_copy(update={"client": shown}))
