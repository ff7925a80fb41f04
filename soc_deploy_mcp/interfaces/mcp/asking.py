"""A person's yes or no, asked in the client where it can show a form and that is enough.

Two eras, one question. The modern one answers the tool call with the question and the client calls again with the
answer; the SDK seals the state and binds it to the tool and its arguments. The handshake era asks while the call is
open. Only `accept` with `approve: true` is a yes. `accept` with `approve: false` is a no. Everything else (decline,
cancel, an error, silence, another question's answer) is no answer: the run goes on waiting.
"""

from typing import Any, NamedTuple

import anyio
from mcp.server.mcpserver import Context
from mcp.types import (
    ClientCapabilities,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from soc_deploy_mcp.interfaces.doors import RunView, Waiting
from soc_deploy_mcp.interfaces.mcp.caller import Peer

Ctx = Context[Peer, Any]

_KEY = "approval"


class Approve(BaseModel):
    """The form. Flat, as clients demand."""

    model_config = ConfigDict(strict=True, extra="ignore")

    approve: bool = Field(description="Carry this plan out?")
    reason: str = Field("", max_length=200, description="Why (optional)")


class Reply(NamedTuple):
    """What came back. `answer` None: no answer, do not ask again now."""

    answer: Approve | None


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean", "title": "Approve", "description": "Carry this plan out?"},
        "reason": {"type": "string", "title": "Reason", "description": "Why (optional)", "maxLength": 200},
    },
    "required": ["approve"],
}


def is_modern(ctx: Ctx) -> bool:
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def can_ask(capabilities: ClientCapabilities | None, *, modern: bool, back_channel: bool) -> bool:
    """Can this client show a form? One that declares elicitation without a mode means forms (2025-06-18)."""
    asked = capabilities.elicitation if capabilities else None
    if asked is None or (asked.form is None and asked.url is not None):
        return False
    return modern or back_channel


def question(view: RunView, waiting: Waiting) -> InputRequiredResult:
    """The answer to a modern tool call that is a question."""
    form = ElicitRequestFormParams(message=waiting.question, requested_schema=SCHEMA)
    return InputRequiredResult(
        input_requests={_KEY: ElicitRequest(params=form)}, request_state=state_of(view, waiting.question_id)
    )


def state_of(view: RunView, question_id: str) -> str:
    return f"{view.id} {question_id}"


def run_in_state(ctx: Ctx) -> str | None:
    """The run whose question this call answers. The next call after a run is over would start another one."""
    return ctx.request_state.partition(" ")[0] if is_modern(ctx) and ctx.request_state else None


def reply_in(ctx: Ctx, view: RunView, waiting: Waiting) -> Reply | None:
    """The answer that this call carries to exactly this question; None: it carries none, so ask.

    The comparison is not optional: an answer sent without any state reaches this point.
    """
    if ctx.request_state != state_of(view, waiting.question_id):
        return None
    found = (ctx.input_responses or {}).get(_KEY)
    return Reply(_decided(found) if isinstance(found, ElicitResult) else None)


async def ask_live(ctx: Ctx, text: str, seconds: float) -> Reply:
    """Ask on the open call (handshake era) and wait `seconds` at most."""
    found: ElicitResult | None = None
    with anyio.move_on_after(max(seconds, 0)):
        try:
            found = await ctx.session.elicit_form(text, SCHEMA, related_request_id=ctx.request_id)
        except Exception:  # whatever a client does instead of answering is no answer
            found = None
    return Reply(_decided(found) if found else None)


def _decided(result: ElicitResult) -> Approve | None:
    if result.action != "accept":
        return None
    try:
        return Approve.model_validate(result.content or {})
    except ValidationError:
        return None
