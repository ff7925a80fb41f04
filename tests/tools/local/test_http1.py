"""The small HTTP client: framing, limits, and kept connections that die."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from soc_deploy_mcp.tools.local import http1
from soc_deploy_mcp.tools.local.http1 import BadAnswer, KeepAlive
from tests.support.home import free_port


class Server:
    """Answers each request with the next of its answers, then closes the connection."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.each = 1000  # answers on one connection
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            for _ in range(self.each):
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self.answers.pop(0) if self.answers else b""
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, tuple[str, int]]]:
    made = Server()
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    yield made, listener.sockets[0].getsockname()
    listener.close()


Serving = tuple[Server, tuple[str, int]]


def ok(body: bytes, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + extra + b"content-length: %d\r\n\r\n" % len(body) + body


async def get(server: Serving, answer: bytes, limit: int = 1000, method: str = "GET") -> http1.Answer:
    server[0].answers = [answer]
    server[0].each = 1
    return await http1.request(server[1], method, "/", timeout=10, limit=limit)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (ok(b"hello"), b"hello"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nt: 1\r\n\r\n",
            b"hello",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"after"), b"after"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_each_framing_is_read(server: Serving, answer: bytes, body: bytes) -> None:
    assert (await get(server, answer)).body == body


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"x" * 50),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n32\r\n" + b"x" * 50 + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50,
    ],
)
async def test_a_body_is_cut_at_the_limit_and_its_connection_given_up(server: Serving, answer: bytes) -> None:
    found = await get(server, answer, limit=10)
    assert (found.body, found.reusable) == (b"x" * 10, False)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_whole_answer_is_an_error(server: Serving, answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        await get(server, answer)


async def test_a_silent_server_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    with pytest.raises(TimeoutError):
        await http1.request(listener.sockets[0].getsockname(), "GET", "/", timeout=0.05)
    listener.close()


async def test_head_has_no_body_whatever_its_length_says(server: Serving) -> None:
    found = await get(server, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", method="HEAD")
    assert (found.status, found.body) == (200, b"")


async def test_a_path_of_people_becomes_one_of_http(server: Serving) -> None:
    server[0].answers = [ok(b"")]
    await http1.request(server[1], "GET", "/größe?q=a b", timeout=10)
    assert server[0].requests[0].startswith(b"GET /gr%C3%B6%C3%9Fe?q=a%20b HTTP/1.1\r\n")


async def test_a_kept_connection_is_used_again(server: Serving) -> None:
    server[0].answers = [ok(b"1"), ok(b"2")]
    kept = KeepAlive(server[1])
    assert [(await kept.request("GET", "/", {}, 10)).body for _ in range(2)] == [b"1", b"2"]
    assert server[0].connections == 1
    kept.close()


async def test_a_connection_that_is_to_be_closed_is_not_kept(server: Serving) -> None:
    server[0].answers = [ok(b"1", b"connection: close\r\n"), ok(b"2")]
    kept = KeepAlive(server[1])
    for _ in range(2):
        await kept.request("GET", "/", {}, 10)
    assert server[0].connections == 2
    kept.close()


async def test_a_kept_connection_that_died_meanwhile_costs_no_answer(server: Serving) -> None:
    """Closed before the request, and closed just as it is sent."""
    server[0].answers, server[0].each = [ok(b"1"), ok(b"2")], 1
    kept = KeepAlive(server[1])
    await kept.request("GET", "/", {}, 10)
    await asyncio.sleep(0.05)
    assert (await kept.request("GET", "/", {}, 10)).body == b"2"
    server[0].answers, server[0].each = [ok(b"3"), b"", ok(b"4")], 1000
    assert (await kept.request("GET", "/", {}, 10)).body == b"3"
    assert (await kept.request("GET", "/", {}, 10)).body == b"4"
    kept.close()


async def test_a_server_that_is_gone_is_an_error() -> None:
    with pytest.raises(ConnectionRefusedError):
        await KeepAlive(("127.0.0.1", free_port())).request("GET", "/", {}, 10)
