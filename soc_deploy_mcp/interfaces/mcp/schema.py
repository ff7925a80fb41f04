"""What `tools/list` publishes. Every client's model pays for it in each conversation, so the schemas are made slim."""

from typing import Any, TypeVar

from mcp.server import MCPServer
from mcp.types import Tool

State = TypeVar("State")


def slim(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema without generated titles, null alternatives, and defaults that say nothing.

    `{"anyOf": [X, {"type": "null"}], "default": null}` becomes X: a key that is not wanted is left out. Null is still
    accepted, since arguments are validated by the model.
    """
    short = {key: value for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    if short.get("default", 0) in (None, "", []):
        del short["default"]
    if short.get("additionalProperties") is True:
        del short["additionalProperties"]
    if "anyOf" in short:
        others = [one for one in short.pop("anyOf") if one != {"type": "null"}]
        short = slim(others[0] | short) if len(others) == 1 else {"anyOf": others} | short
    return {key: _named(value) if key in ("properties", "$defs") else _value(value) for key, value in short.items()}


def _named(members: dict[str, Any]) -> dict[str, Any]:
    """Keys here are names, so one of them may be `title`."""
    return {name: _value(member) for name, member in members.items()}


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return slim(value)
    return [_value(item) for item in value] if isinstance(value, list) else value


class SlimServer(MCPServer[State]):
    """An MCPServer that lists its tools slim. Unknown arguments are refused, and the schema says so."""

    async def list_tools(self) -> list[Tool]:
        return [_slimmed(tool) for tool in await super().list_tools()]


def _slimmed(tool: Tool) -> Tool:
    published = slim(tool.input_schema) | {"additionalProperties": False}
    output = slim(tool.output_schema or {})
    output.pop("description", None)  # the same text for each tool
    return tool.model_copy(update={"input_schema": published, "output_schema": output})
