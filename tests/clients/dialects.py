"""The two interfaces of models that the clients speak: OpenAI's chat completions (OpenCode), Anthropic's messages
(Claude Code). Reading a request gives a Conversation, writing a Move gives server-sent events."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

from tests.clients.conversation import Conversation, Move, Say

Json = dict[str, Any]
Event = tuple[str, Json | str]  # name ("" = none) and data

_numbers = itertools.count(1)


def flat(content: Any) -> str:
    """The text of a message, whatever it is wrapped in."""
    if isinstance(content, list):
        return "\n".join(filter(None, map(flat, content)))
    if isinstance(content, dict):
        return flat(content.get("text") or content.get("content"))
    return content or ""


class Completions:
    path = "/v1/chat/completions"

    @staticmethod
    def read(body: Json) -> Conversation:
        messages = body.get("messages", [])
        spoke = max((n for n, each in enumerate(messages) if each["role"] == "user"), default=0)
        last = messages[-1] if messages else {"role": ""}
        return Conversation(
            texts=[flat(each.get("content")) for each in messages if each["role"] == "user"],
            offered=[tool["function"]["name"] for tool in body.get("tools") or []],
            result=flat(last.get("content")) if last["role"] == "tool" else None,
            calls=sum(each["role"] == "tool" for each in messages[spoke:]),
        )

    @staticmethod
    def write(body: Json, move: Move) -> Iterator[Event]:
        chunk = {"id": f"chat-{next(_numbers)}", "object": "chat.completion.chunk", "created": int(time.time())}
        chunk["model"] = body.get("model")
        delta, why = _delta(move)
        yield "", {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        yield "", {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": why}], "usage": usage}
        yield "", "[DONE]"


def _delta(move: Move) -> tuple[Json, str]:
    if isinstance(move, Say):
        return {"role": "assistant", "content": move.text}, "stop"
    function = {"name": move.tool, "arguments": json.dumps(move.arguments)}
    call = {"index": 0, "id": f"call_{next(_numbers)}", "type": "function", "function": function}
    return {"role": "assistant", "tool_calls": [call]}, "tool_calls"


class Messages:
    path = "/v1/messages"

    @staticmethod
    def read(body: Json) -> Conversation:
        texts: list[str] = []
        result, calls = None, 0
        for message in body.get("messages", []):
            blocks = message["content"]
            if isinstance(blocks, str):
                blocks = [{"type": "text", "text": blocks}]
            if message["role"] != "user":
                continue
            said = [block["text"] for block in blocks if block["type"] == "text"]
            results = [flat(block.get("content")) for block in blocks if block["type"] == "tool_result"]
            result = results[-1] if results else None
            calls = calls + len(results) if results else 0
            texts += said
        return Conversation(texts, [tool["name"] for tool in body.get("tools") or []], result, calls)

    @staticmethod
    def write(body: Json, move: Move) -> Iterator[Event]:
        if isinstance(move, Say):
            start: Json = {"type": "text", "text": ""}
            delta: Json = {"type": "text_delta", "text": move.text}
            why = "end_turn"
        else:
            start = {"type": "tool_use", "id": f"toolu_{next(_numbers):04d}", "name": move.tool, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(move.arguments)}
            why = "tool_use"
        for event in (
            {"type": "message_start", "message": _message(body)},
            {"type": "content_block_start", "index": 0, "content_block": start},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": why, "stop_sequence": None},
                "usage": {"output_tokens": 5},
            },
            {"type": "message_stop"},
        ):
            yield event["type"], event  # type: ignore[misc]


def _message(body: Json) -> Json:
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    message = {"id": f"msg_{next(_numbers):04d}", "type": "message", "role": "assistant", "content": [], "usage": usage}
    return message | {"model": body.get("model"), "stop_reason": None, "stop_sequence": None}


DIALECTS = {dialect.path: dialect for dialect in (Completions, Messages)}
