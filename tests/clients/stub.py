"""A model on the loopback interface. It never drops a connection: clients would ask again for minutes."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.clients.conversation import Call, Conversation, Move, Say
from tests.clients.dialects import DIALECTS
from tests.clients.policy import next_move

_MODELS = {"object": "list", "has_more": False, "data": [{"id": "stub-model", "object": "model", "type": "model"}]}


@dataclass
class Seen:
    chat: Conversation
    move: Move


@dataclass
class Model:
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # of this stub, not of a client

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[Call]:
        """Tools it called, in order, by their bare names."""
        moves = [each.move for each in self.seen if isinstance(each.move, Call)]
        return [Call(move.tool.rpartition("__")[2].removeprefix("soc-deploy_"), move.arguments) for move in moves]

    @property
    def results(self) -> list[str]:
        """What the tools answered, as the client let the model see it."""
        return [each.chat.result for each in self.seen if each.chat.result is not None]

    def answer(self, path: str, body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        dialect = DIALECTS[path]
        try:
            chat = dialect.read(body)
            move = next_move(chat)
            self.seen.append(Seen(chat, move))
        except Exception as error:
            self.faults.append(repr(error))
            move = Say(f"the stub failed: {error!r}")
        return dialect.write(body, move)


@contextmanager
def model() -> Iterator[Model]:
    made = Model()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Requests,), {"model": made}))
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, name="stub model")
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: Model

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._json({})

    def do_GET(self) -> None:
        self._json(_MODELS if self.path.partition("?")[0].endswith("/models") else {})

    def do_POST(self) -> None:
        body, path = self._body(), self.path.partition("?")[0]
        with suppress(BrokenPipeError, ConnectionResetError):
            if path in DIALECTS and body.get("stream"):
                self._events(self.model.answer(path, body))
            elif path in DIALECTS:
                self._json(_whole(list(self.model.answer(path, body))))
            else:
                self._json({"input_tokens": 100})

    def _body(self) -> dict[str, Any]:
        raw = self._chunks() if self.headers.get("transfer-encoding", "").lower() == "chunked" else self._rest()
        if self.headers.get("content-encoding") == "gzip":
            raw = gzip.decompress(raw)
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            body = None
        return body if isinstance(body, dict) else {}

    def _rest(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0].strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _events(self, events: Iterator[tuple[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for name, data in events:
            head = f"event: {name}\n" if name else ""
            text = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(f"{head}data: {text}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True


def _whole(events: list[tuple[str, Any]]) -> dict[str, Any]:
    """The same answer in one piece, for a client that does not stream."""
    if events and events[0][0] == "message_start":
        block = dict(events[1][1]["content_block"])
        delta = events[2][1]["delta"]
        block |= {"text": delta["text"]} if "text" in delta else {"input": json.loads(delta["partial_json"])}
        return {**events[0][1]["message"], "content": [block], "stop_reason": events[4][1]["delta"]["stop_reason"]}
    first, last = events[0][1], events[1][1]
    message = {"content": None, **first["choices"][0]["delta"]}
    choice = {"index": 0, "message": message, "finish_reason": last["choices"][0]["finish_reason"]}
    return {**first, "object": "chat.completion", "choices": [choice], "usage": last["usage"]}
