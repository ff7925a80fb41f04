"""HTTP/1.1 requests over TCP or a unix socket, on asyncio streams.

For probes and admin questions only: short GET and HEAD requests, up to a hundred a second from the daemon's process,
where a general client costs several times the processor time of the request itself.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

Address = tuple[str, int] | Path

PROBE_LIMIT = 64 * 1024  # bytes of a body that are kept
PAGE_LIMIT = 16 * 1024 * 1024
_HEAD_LIMIT = 64 * 1024
_AS_IT_IS = "/?#[]@!$&'()*+,;=:%-._~|^\\"  # what a path may hold already


class BadAnswer(Exception):
    """What came back is no HTTP answer, or it broke off."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes  # cut at the limit
    reusable: bool  # the connection can carry another request


class Connection:
    """One connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, address: Address) -> "Connection":
        if isinstance(address, Path):
            return cls(*await asyncio.open_unix_connection(str(address), limit=_HEAD_LIMIT))
        return cls(*await asyncio.open_connection(*address, limit=_HEAD_LIMIT))

    @property
    def stale(self) -> bool:
        """The other side closed it, or sent something nobody asked for."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def ask(self, method: str, path: str, headers: Mapping[str, str], limit: int) -> Answer:
        lines = [f"{method} {quote(path, safe=_AS_IT_IS)} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        self._writer.write("\r\n".join(lines).encode("latin-1"))
        try:
            return await self._answer(method, limit)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as broken:
            raise BadAnswer(f"the answer broke off or is no HTTP: {type(broken).__name__}") from None

    async def _answer(self, method: str, limit: int) -> Answer:
        status, headers = 100, dict[str, str]()
        while 100 <= status < 200 and status != 101:
            status, headers = parse_head(await self._reader.readuntil(b"\r\n\r\n"))
        keep = headers.get("connection", "").lower() != "close"
        if method == "HEAD" or status in (101, 204, 304):
            return Answer(status, headers, b"", keep and status != 101)
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body, whole = await self._chunks(limit)
        elif (length := headers.get("content-length")) is not None:
            body = await self._reader.readexactly(min(int(length), limit))
            whole = int(length) <= limit
        else:
            body, whole = await self._to_the_end(limit), False
        return Answer(status, headers, body, keep and whole)

    async def _chunks(self, limit: int) -> tuple[bytes, bool]:
        parts: list[bytes] = []
        room = limit
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            if size > room:
                parts.append(await self._reader.readexactly(room))
                return b"".join(parts), False
            parts.append(await self._reader.readexactly(size))
            room -= size
            await self._reader.readexactly(2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass  # trailers
        return b"".join(parts), True

    async def _to_the_end(self, limit: int) -> bytes:
        parts: list[bytes] = []
        room = limit
        while room and (part := await self._reader.read(room)):
            parts.append(part)
            room -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be closed already
            self._writer.close()


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers; the last of a repeated header counts. ValueError when it is no HTTP/1 answer."""
    first, *lines = head.decode("latin-1").split("\r\n")
    protocol, _, rest = first.partition(" ")
    if not protocol.startswith("HTTP/1."):
        raise ValueError("no HTTP/1 answer")
    pairs = (line.partition(":") for line in lines if line)
    return int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def request(
    address: Address,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float,
    limit: int = PROBE_LIMIT,
) -> Answer:
    """One request over a new connection. Raises OSError, TimeoutError (seconds) or BadAnswer."""
    async with asyncio.timeout(timeout):
        connection = await Connection.open(address)
        try:
            return await connection.ask(
                method, path, {"host": "127.0.0.1", "connection": "close"} | dict(headers or {}), limit
            )
        finally:
            connection.close()


class KeepAlive:
    """Kept connections to one address; each is looked at before it is used again."""

    def __init__(self, address: tuple[str, int], keep: int = 16) -> None:
        self.address, self._keep = address, keep
        self._idle: list[Connection] = []

    async def request(self, method: str, path: str, headers: Mapping[str, str], timeout: float) -> Answer:
        """Over a kept connection where there is one; `method` must be safe to send twice, since the other side may
        close a kept connection just then. Raises OSError, TimeoutError (seconds) or BadAnswer."""
        async with asyncio.timeout(timeout):
            if (kept := self._kept()) is not None:
                with contextlib.suppress(OSError, BadAnswer):
                    return await self._over(kept, method, path, headers)
            return await self._over(await Connection.open(self.address), method, path, headers)

    async def _over(self, connection: Connection, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        try:
            answer = await connection.ask(method, path, headers, PROBE_LIMIT)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection, answer)
        return answer

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.stale:
                return connection
            connection.close()
        return None

    def _give_back(self, connection: Connection, answer: Answer) -> None:
        if answer.reusable and len(self._idle) < self._keep:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
