"""Outermost around every tool call: known arguments only, an answer in time, nothing unredacted out."""

from collections.abc import Mapping
from typing import Any

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension
from mcp.types import CallToolRequestParams, CallToolResult, ContentBlock, InputRequiredResult, TextContent
from pydantic import BaseModel

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.interfaces.mcp.arguments import refusal
from soc_deploy_mcp.interfaces.mcp.outcome import of_error, to_result

HARD_S = 50.0


class Guard(Extension):
    identifier = "io.soc-deploy/guard"

    def __init__(self, models: Mapping[str, type[BaseModel]], redactor: Redactor) -> None:
        self._models, self._redactor = models, redactor

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        if (wrong := refusal(params.name, params.arguments or {}, self._models)) is not None:
            return self._redacted(to_result(of_error(wrong)))
        result: HandlerResult = None
        with anyio.move_on_after(HARD_S) as scope:
            result = await call_next(ctx)
        if scope.cancelled_caught:
            return to_result(of_error(_late(params.name), "unknown"))
        return self._redacted(_shaped(params.name, result))

    def _redacted(self, result: HandlerResult) -> HandlerResult:
        if isinstance(result, InputRequiredResult):
            return InputRequiredResult.model_validate(
                self._redactor.walk(result.model_dump(mode="json", by_alias=True))
            )
        if not isinstance(result, CallToolResult):
            return result
        content = [self._block(block) for block in result.content]
        structured = self._redactor.walk(result.structured_content)
        return result.model_copy(update={"content": content, "structured_content": structured})

    def _block(self, block: ContentBlock) -> ContentBlock:
        if isinstance(block, TextContent):
            return block.model_copy(update={"text": self._redactor.text(block.text)})
        return block


def _shaped(name: str, result: HandlerResult) -> HandlerResult:
    """A crash inside a tool, or a value that the SDK's own reading refused, in the shape of every other answer."""
    if not isinstance(result, CallToolResult) or not result.is_error or result.structured_content is not None:
        return result
    text = " ".join(block.text for block in result.content if isinstance(block, TextContent))
    if "validation error" in text:
        return to_result(of_error(DeployError("E_ARGUMENT", f"{name} was called wrongly.", "nothing was started")))
    why = "the daemon's log has the details; a run that was started goes on"
    return to_result(of_error(DeployError("E_INTERNAL", f"{name} met a defect.", why, "soc-deploy status"), "unknown"))


def _late(name: str) -> DeployError:
    why = "what was ordered may still be carried out"
    return DeployError("E_DAEMON", f"{name} had no answer after {HARD_S:.0f} seconds.", why, "soc-deploy status")
