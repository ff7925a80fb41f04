"""HTTP/1.1 and websocket connections of the load generator. Standard library only.

Raw on purpose: a client library retries, pools and hides which of its connections broke.
"""

import asyncio
import select

VERSION_HEADER = b"x-shop-version"


class Lost(Exception):
    """The request got no answer; the argument is the class of the loss."""


class Connection(asyncio.Protocol):
    """One connection with at most one request on it."""

    def __init__(self) -> None:
        self.buffer = b""
        self.waiting: asyncio.Future[tuple[int, str]] | None = None
        self.keep_alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.poll = select.poll()
        self.poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def is_fresh(self) -> bool:
        """Still open: nothing to read, not even the end of the stream, which the loop may not have seen yet."""
        return self.keep_alive and not self.transport.is_closing() and not self.poll.poll(0)

    async def ask(self, request: bytes) -> tuple[int, str]:
        """Send and wait. Status and version of the answer ("" without one). Raises Lost."""
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.waiting

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.buffer.startswith(b"HTTP/1."[: len(self.buffer)]):
            self._fail("protocol")
            return
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0 or self.waiting is None or self.waiting.done():
            return
        try:
            answer = parse_answer(self.buffer, end)
        except ValueError:
            self._fail("protocol")
            return
        if answer:
            self.buffer = b""
            status, version, self.keep_alive = answer
            self.waiting.set_result((status, version))

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("reset" if error else "closed")

    def _fail(self, why: str) -> None:
        self.keep_alive = False
        if self.waiting and not self.waiting.done():
            self.waiting.set_exception(Lost(why))


def parse_answer(buffer: bytes, end: int) -> tuple[int, str, bool] | None:
    """Status, version and keep-alive of the answer whose head ends at `end`; None while its body is not complete.

    Raises ValueError for a head that makes no sense.
    """
    fields = dict(_field(line) for line in buffer[:end].split(b"\r\n")[1:])
    if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
        if not buffer.endswith(b"\r\n0\r\n\r\n"):
            return None
    elif len(buffer) - end - 4 < int(fields.get(b"content-length", b"0")):
        return None
    keep_alive = fields.get(b"connection", b"").lower() != b"close"
    return int(buffer[9:12]), fields.get(VERSION_HEADER, b"").decode("latin-1"), keep_alive


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()


def upgrade(host: str) -> bytes:
    """The request that opens a websocket (RFC 6455, 1.3; the key is the example of that section)."""
    return (
        f"GET /ws HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def masked(opcode: int, payload: bytes) -> bytes:
    """A short frame of a client; any mask is allowed, zeros keep it readable (RFC 6455, 5.2)."""
    return bytes([128 | opcode, 128 | len(payload), 0, 0, 0, 0]) + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Opcode and payload of a short frame (up to 125 bytes) of the server."""
    first, size = await reader.readexactly(2)
    return first & 15, await reader.readexactly(size & 127)
