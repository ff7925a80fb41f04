"""`soc-deploy serve` as a chat client has it: a process, and lines of JSON-RPC over its pipes. No SDK is involved."""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from soc_deploy_mcp.core.event import State
from tests.support.product import Product

Era = Literal["2025-11-25", "2026-07-28"]
ERAS: tuple[Era, ...] = ("2025-11-25", "2026-07-28")
CONTRACT_S = 50.0  # every answer comes sooner, whatever the run does (mcp.md 1: 45 s, hard 50 s)
_WHO = {"name": "scripted", "version": "1"}
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Answer:
    """Of one tool call."""

    tool: str
    result: dict[str, Any]
    took_s: float

    @property
    def text(self) -> str:
        return "\n".join(block["text"] for block in self.result["content"] if block["type"] == "text")

    @property
    def structured(self) -> dict[str, Any]:
        return dict(self.result["structuredContent"])

    @property
    def state(self) -> str:
        return str(self.structured["state"])

    @property
    def run(self) -> str:
        return str(self.structured["run_id"])


class Chat:
    """The handshake era says hello once; the modern one says who it is with every request."""

    def __init__(self, process: subprocess.Popen[str], era: Era) -> None:
        self.process, self.era = process, era
        self.answers: list[Answer] = []
        self.progress: list[dict[str, Any]] = []
        self._heard: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._number = 0
        threading.Thread(target=self._hear, daemon=True).start()
        self.server = self._greet()

    def call(self, tool: str, **arguments: Any) -> Answer:
        """One tool call, timed."""
        began = time.monotonic()
        result = self.wait(self.send_call(tool, **arguments))
        self.answers.append(Answer(tool, result, time.monotonic() - began))
        return self.answers[-1]

    def send_call(self, tool: str, **arguments: Any) -> int:
        """The same without waiting: the id of the request."""
        return self.send("tools/call", name=tool, arguments=arguments)

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        return self.wait(self.send(method, **params))

    def send(self, method: str, **params: Any) -> int:
        self._number += 1
        meta: dict[str, Any] = {"progressToken": self._number}
        if self.era == "2026-07-28":
            meta |= {
                "io.modelcontextprotocol/protocolVersion": self.era,
                "io.modelcontextprotocol/clientInfo": _WHO,
                "io.modelcontextprotocol/clientCapabilities": {},
            }
        self._say({"id": self._number, "method": method, "params": {**params, "_meta": meta}})
        return self._number

    def wait(self, number: int) -> dict[str, Any]:
        """The result of a request. Fails on an error, and when the server is gone."""
        while (message := self._take()).get("id") != number:
            pass
        assert "result" in message, message
        return dict(message["result"])

    def follow(self, answer: Answer) -> Answer:
        """As an agent does: `status` until the run is over or waits for a person."""
        while answer.state != "waiting_approval" and not State(answer.state.upper()).terminal:
            answer = self.call("status", run_id=answer.run, wait_s=40)
        return answer

    def wait_progress(self, words: str) -> None:
        """Until a message of progress says that."""
        while not any(words in told.get("message", "") for told in self.progress):
            self._take()

    def _take(self) -> dict[str, Any]:
        """The next message of the server."""
        message = self._heard.get(timeout=_PATIENCE_S)
        assert message is not None, f"the server is gone: {self.process.wait(10)}"
        if message.get("method") == "notifications/progress":
            self.progress.append(message["params"])
        return message

    def _greet(self) -> dict[str, Any]:
        if self.era == "2026-07-28":
            return self.request("server/discover")
        hello = {"protocolVersion": self.era, "capabilities": {}, "clientInfo": _WHO}
        answered = self.request("initialize", **hello)
        self._say({"method": "notifications/initialized"})
        return answered

    def _say(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._heard.put(json.loads(line))
        self._heard.put(None)


@contextmanager
def chat(shop: Product, era: Era = "2025-11-25") -> Iterator[Chat]:
    """A new `soc-deploy serve` in the shop's repository, killed at the end if it still runs."""
    pipe = subprocess.PIPE
    environ = shop.environ
    with subprocess.Popen(
        shop.argv("serve"), cwd=shop.repository, env=environ, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield Chat(process, era)
        finally:
            process.kill()
