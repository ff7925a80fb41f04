"""The shop's item API: one HTTP/1.1 service on asyncio, with the standard library alone.

    python server.py --port 8000        (or PORT=8000 python server.py)

GET /  GET /items  GET /items/{id}  POST /orders  GET /healthz  GET /metrics  GET /slow?ms=2000  GET /ws (echo)
Each answer leaves in one write: a head and a body in two packets wait for each other (Nagle against delayed ACK).
"""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import signal
import sys
from collections import Counter, deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

VERSION = "v1.0.0"
KEEPALIVE_S = 5.0  # an idle connection is closed after this
LINGER_S = 0.5  # at the end an idle connection gets this long for a request that is already on its way
GRACE_S = 10.0  # at the end running requests get this long
MAX_BODY = 64 * 1024
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3

NAMES = (
    *("Teapot", "Mug", "Kettle", "Tea towel", "Sugar bowl", "Milk jug", "Saucer", "Tray", "Infuser", "Timer"),
    *("Green tea", "Black tea", "Mint tea", "Oolong", "Rooibos", "Chai", "Honey", "Lemon curd", "Shortbread"),
    *("Scone mix", "Cake stand", "Napkins", "Tin", "Gift box"),
)
ITEMS = {number: {"id": number, "name": name, "cents": 250 + 175 * number} for number, name in enumerate(NAMES, 1)}


class Refused(Exception):
    """A request that the shop does not serve: its status and the reason for the client."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


@dataclass(frozen=True)
class Request:
    method: str  # HEAD is served as GET
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    keep_alive: bool
    head_only: bool = False
    body: bytes = b""

    @property
    def route(self) -> str:
        """The path as the metrics name it: a bounded set of words."""
        if self.path.startswith("/items/"):
            return "/items/{id}"
        return self.path if self.path in ("/", "/items", "/orders", "/healthz", "/metrics", "/slow", "/ws") else "other"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    kind: str = "application/json"

    def encode(self, keep_alive: bool, head_only: bool = False) -> bytes:
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
            f"content-type: {self.kind}\r\n"
            f"content-length: {len(self.body)}\r\n"
            f"x-shop-version: {VERSION}\r\n"
            f"connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
        )
        return head.encode() if head_only else head.encode() + self.body


def item(number: str) -> dict[str, Any]:
    found = ITEMS.get(int(number)) if number.isdecimal() else None
    if found is None:
        raise Refused(404, "no such item")
    return dict(found)


def items(query: dict[str, str]) -> dict[str, Any]:
    return {"items": list(ITEMS.values())}


def price(body: bytes) -> dict[str, Any]:
    """The order in `body` ({"item": 3, "quantity": 2}) with what it costs."""
    try:
        wanted = json.loads(body)
        number, quantity = wanted["item"], wanted.get("quantity", 1)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Refused(400, 'an order looks like {"item": 3, "quantity": 2}') from None
    if not isinstance(quantity, int) or not 1 <= quantity <= 99:
        raise Refused(400, "quantity is 1 to 99")
    ordered = item(str(number))
    return {"item": ordered["id"], "quantity": quantity, "cents": ordered["cents"] * quantity}


class Shop:
    """Routes, orders and counters of one running shop."""

    def __init__(self) -> None:
        self.orders: deque[dict[str, Any]] = deque(maxlen=1000)
        self.checkouts = Counter(total=0, failed=0)
        self.answers: Counter[tuple[str, int]] = Counter()

    async def answer(self, request: Request) -> Answer:
        """Never fails: what the shop did not expect is logged and becomes a 500."""
        try:
            answer = await self.route(request)
        except Refused as refused:
            answer = to_json({"error": refused.why}, refused.status)
        except Exception as error:
            print(f"500 {request.method} {request.path}: {error!r}", file=sys.stderr, flush=True)
            answer = to_json({"error": "internal error"}, 500)
        self.count(request, answer.status)
        return answer

    def count(self, request: Request, status: int) -> None:
        self.answers[request.route, status] += 1
        if request.route == "/orders":
            self.checkouts["total"] += 1
            self.checkouts["failed"] += status >= 500

    async def route(self, request: Request) -> Answer:
        match request.method, request.route:
            case "GET", "/":
                page = f"<!doctype html><title>The tea shop</title><h1>The tea shop</h1><p>shop {VERSION}</p>\n"
                return Answer(200, page.encode(), "text/html; charset=utf-8")
            case "GET", "/healthz":
                return Answer(200, b"ok\n", "text/plain")
            case "GET", "/metrics":
                return Answer(200, self.metrics().encode(), "text/plain; version=0.0.4")
            case "GET", "/slow":
                milliseconds = request.query.get("ms", "2000")
                await asyncio.sleep(min(int(milliseconds), 60_000) / 1000 if milliseconds.isdecimal() else 2)
                return to_json({"slept_ms": milliseconds})
            case _:
                status, found = self.api(request)
                return to_json(found, status)

    def api(self, request: Request) -> tuple[int, dict[str, Any]]:
        match request.method, request.route:
            case "GET", "/items":
                return 200, items(request.query)
            case "GET", "/items/{id}":
                return 200, item(request.path.removeprefix("/items/"))
            case "POST", "/orders":
                order = {"order": self.checkouts["total"] + 1, **price(request.body)}
                self.orders.append(order)
                return 201, order
            case _, "other":
                raise Refused(404, "no such page")
        raise Refused(405, f"{request.method} is not possible here")

    def metrics(self) -> str:
        """Prometheus text exposition 0.0.4. The checkout counters are there from the start: 0 is not "no data"."""
        lines = ["# HELP shop_requests_total Answers, by route and status.", "# TYPE shop_requests_total counter"]
        for (route, code), count in sorted(self.answers.items()):
            lines.append(f'shop_requests_total{{version="{VERSION}",route="{route}",code="{code}"}} {count}')
        for name, key in (("checkout_total", "total"), ("checkout_failed_total", "failed")):
            lines += [f"# TYPE {name} counter", f'{name}{{version="{VERSION}"}} {self.checkouts[key]}']
        return "\n".join(lines) + "\n"


def to_json(data: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(data).encode() + b"\n")


def parse(head: bytes) -> Request:
    """The request line and the header fields (RFC 9112, 2 to 5)."""
    line, *fields = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    try:
        method, target, protocol = line.split(" ")
        headers = {name.lower(): value.strip() for name, value in (field.split(":", 1) for field in fields)}
    except ValueError:
        raise Refused(400, "not an HTTP request") from None
    url = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    asked = headers.get("connection", "keep-alive" if protocol == "HTTP/1.1" else "close").lower()
    verb = "GET" if method == "HEAD" else method
    return Request(verb, unquote(url.path), query, headers, asked != "close", head_only=method == "HEAD")


class Server:
    """Connections of a shop: keep-alive, websockets, and an end that cuts nobody off."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.stopping = False
        self.tasks: set[asyncio.Task[None]] = set()
        self.idle: set[asyncio.Timeout] = set()
        self.sockets: set[asyncio.StreamWriter] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen, and say on which port."""
        self.listener = await asyncio.start_server(self.connected, host, port, limit=MAX_BODY, backlog=1024)
        return int(self.listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Accept nobody new, finish what runs, let idle connections go, tell websockets to come back (1012)."""
        self.stopping = True
        self.listener.close()
        loop = asyncio.get_running_loop()
        for timeout in self.idle:
            timeout.reschedule(loop.time() + LINGER_S)
        for writer in self.sockets:
            writer.write(RESTART)
            loop.call_later(LINGER_S, writer.close)
        await asyncio.sleep(0.05)  # a connection accepted in this moment gets its task first
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=GRACE_S)
            for task in late:
                task.cancel()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self.tasks.add(task)
        try:
            while await self.one_request(reader, writer):
                pass
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # the client is gone, or was quiet for too long
        except (Refused, asyncio.LimitOverrunError) as error:
            writer.write(to_json({"error": str(error)}, getattr(error, "status", 431)).encode(keep_alive=False))
        finally:
            self.tasks.discard(task)
            writer.close()

    async def one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve the next request of a connection. True: it stays open."""
        async with asyncio.timeout(LINGER_S if self.stopping else KEEPALIVE_S) as idle:
            self.idle.add(idle)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            finally:
                self.idle.discard(idle)
        request = parse(head)
        if request.headers.get("upgrade", "").lower() == "websocket" and request.path == "/ws":
            await self.echo(request, reader, writer)
            return False
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY or "transfer-encoding" in request.headers:
            raise Refused(413, "a body needs a content-length of at most 65536")
        if int(length):
            request = Request(**{**vars(request), "body": await reader.readexactly(int(length))})
        answer = await self.shop.answer(request)
        keep_alive = request.keep_alive and not self.stopping
        writer.write(answer.encode(keep_alive, request.head_only))
        await writer.drain()
        return keep_alive

    async def echo(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """RFC 6455: data frames come back as they are, ping becomes pong, close is answered."""
        key = request.headers.get("sec-websocket-key", "")
        proof = base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode(), usedforsecurity=False).digest()).decode()
        writer.write(
            f"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-accept: {proof}\r\nx-shop-version: {VERSION}\r\n\r\n".encode()
        )
        self.shop.count(request, 101)
        self.sockets.add(writer)
        if self.stopping:
            writer.write(RESTART)
        try:
            while True:
                first, payload = await read_frame(reader)
                if first & 15 == 8:
                    if not self.stopping:
                        writer.write(frame(8, payload))
                    return
                if not self.stopping:  # after our own close nothing may follow
                    writer.write(frame(10, payload) if first & 15 == 9 else frame(first & 15, payload, first & 128))
                    await writer.drain()
        finally:
            self.sockets.discard(writer)


def frame(opcode: int, payload: bytes, fin: int = 128) -> bytes:
    """A frame of the server: never masked (RFC 6455, 5.2)."""
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)
    return bytes([fin | opcode]) + length + payload


RESTART = frame(8, (1012).to_bytes(2) + b"restart")


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """First byte and payload of a client's frame. One that is unmasked or over 65,535 bytes ends the connection."""
    first, second = await reader.readexactly(2)
    size = second & 127
    if not second & 128 or size == 127:
        raise ConnectionError("not a frame for this server")
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2))
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(size)
    return first, bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))


async def run(host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = Server(Shop())
    port = await server.start(host, port)
    print(f"shop {VERSION} on http://{host}:{port}", flush=True)
    await stop.wait()
    await server.stop()
    print("shop closed", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="The shop's item API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")), help="default: $PORT, or 8000")
    options = parser.parse_args()
    try:
        asyncio.run(run(options.host, options.port))
    except OSError as error:
        sys.exit(f"shop: cannot listen on {options.host}:{options.port}: {os.strerror(error.errno or 0)}")


if __name__ == "__main__":
    main()
