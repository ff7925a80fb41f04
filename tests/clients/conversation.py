"""What a chat client says to its model, and what the model may answer, whatever dialect they speak."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Conversation:
    """So far. `result` is the text of a tool's answer, when that is the last thing said."""

    texts: list[str]  # of the user, oldest first
    offered: list[str]  # names of tools
    result: str | None = None
    calls: int = 0  # tools called since the user last spoke


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class Call:
    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)


Move = Say | Call
