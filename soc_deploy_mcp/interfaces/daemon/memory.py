"""What a shim must remember of an MCP session so that it can go on with another daemon.

In the handshake era a session begins with `initialize` and `notifications/initialized`: they are said again, and the
second answer is swallowed. The modern era has no session; there is nothing to say again.
"""

from __future__ import annotations

import json
from typing import Any

LOST = -32_000  # JSON-RPC 2.0, 5.1: codes from -32000 to -32099 are the server's own
_INVALID = -32_600

Id = str | int


class Memory:
    def __init__(self) -> None:
        self._initialize: bytes = b""
        self._initialized: bytes = b""
        self._opening: Id | None = None  # id of `initialize`
        self._answered = False  # the client has the answer to its `initialize`
        self._swallow = False
        self._open: set[Id] = set()

    def sent(self, line: bytes) -> None:
        """A line of the client is on its way."""
        message = _message(line)
        method, name = message.get("method"), _id(message)
        if method == "notifications/initialized":
            self._initialized = line
        elif method == "notifications/cancelled":
            self._forget(message.get("params"))
        if name is None or not isinstance(method, str):
            return
        if method == "initialize":
            self._initialize, self._initialized, self._opening, self._answered = line, b"", name, False
        self._open.add(name)

    def received(self, line: bytes) -> bool:
        """A line of the daemon. False: the client must not see it."""
        message = _message(line)
        name = _id(message)
        if name is None or "method" in message:
            return True
        if self._swallow and name == self._opening:
            self._swallow = False
            return False
        if name == self._opening:
            self._answered = True
        self._open.discard(name)
        return True

    def lost(self) -> list[bytes]:
        """The daemon is gone: the answers for requests that it did not answer. `initialize` is not among them."""
        opening = {self._opening} if not self._answered else set()
        names = self._open - opening
        self._open -= names
        why = "the daemon was restarted; the run goes on; call status"
        return [_error(name, LOST, why) for name in sorted(names, key=str)]

    def opening(self) -> bytes:
        """An `initialize` without an answer, to be sent at once: the client waits for it."""
        self._swallow = False
        return self._initialize if self._opening in self._open else b""

    def replay(self) -> bytes:
        """What the next daemon must hear before anything else."""
        if not self._answered:
            return b""
        self._swallow = True
        return self._initialize + self._initialized

    def _forget(self, cancelled: Any) -> None:
        """A cancelled request gets no answer."""
        name = _id({"id": cancelled.get("requestId")}) if isinstance(cancelled, dict) else None
        if name is not None:
            self._open.discard(name)

    @staticmethod
    def too_long(limit: int) -> bytes:
        return _error(None, _INVALID, f"a message of more than {limit} bytes was dropped")


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _id(message: dict[str, Any]) -> Id | None:
    name = message.get("id")
    return name if isinstance(name, str | int) and not isinstance(name, bool) else None


def _error(name: Id | None, code: int, why: str) -> bytes:
    said = {"jsonrpc": "2.0", "id": name, "error": {"code": code, "message": why}}
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"
