"""The good shop: what it serves, and that its end cuts nobody off."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from soc_deploy_mcp.interfaces.cli.demo.wire import masked, read_frame, upgrade
from tests.support.load import load
from tests.support.processes import wait_for
from tests.support.shop import Shop, shop

pytestmark = pytest.mark.e2e


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Shop]:
    with shop(tmp_path / "shop") as instance:
        yield instance


async def raw(running: Shop, *requests: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for request in requests:
        writer.write(f"{request}\r\nhost: shop\r\n\r\n".encode())
    return reader, writer


def test_every_answer_names_the_version(running: Shop) -> None:
    for path, status in (("/", 200), ("/healthz", 200), ("/items", 200), ("/items/7", 200), ("/nowhere", 404)):
        seen, headers, _ = running.get(path)
        assert (seen, headers["x-shop-version"]) == (status, "v1.0.0")


async def test_an_answer_is_one_packet(running: Shop) -> None:
    reader, writer = await raw(running, "GET /items HTTP/1.1")
    first = await reader.read(65536)
    head, _, body = first.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    writer.close()


async def test_a_client_that_wants_no_keep_alive_gets_none(running: Shop) -> None:
    for request in ("GET / HTTP/1.0", "GET / HTTP/1.1\r\nconnection: close"):
        reader, writer = await raw(running, request)
        assert b"connection: close" in await asyncio.wait_for(reader.read(), 10)
        writer.close()


async def test_requests_in_a_row_on_one_connection_are_answered_in_order(running: Shop) -> None:
    reader, writer = await raw(running, "GET /items/1 HTTP/1.1", "GET /items/2 HTTP/1.1\r\nconnection: close")
    everything = await asyncio.wait_for(reader.read(), 10)
    assert 0 < everything.index(b"Teapot") < everything.index(b"Mug")
    writer.close()


async def test_a_body_without_a_usable_length_is_refused(running: Shop) -> None:
    for field in ("content-length: 9999999", "content-length: -1", "transfer-encoding: chunked"):
        reader, writer = await raw(running, f"POST /orders HTTP/1.1\r\n{field}")
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_the_websocket_echoes_pongs_and_closes(running: Shop) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(upgrade("shop"))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455, 1.3
    for sent, expected in (((1, b"tea"), (1, b"tea")), ((2, b"\0\xff"), (2, b"\0\xff")), ((9, b"?"), (10, b"?"))):
        writer.write(masked(*sent))
        assert await read_frame(reader) == expected
    writer.write(masked(8, (1000).to_bytes(2)))
    assert await read_frame(reader) == (8, (1000).to_bytes(2))
    assert await reader.read() == b""
    writer.close()


def test_a_taken_port_is_one_line_and_no_traceback(running: Shop, tmp_path: Path) -> None:
    command = [sys.executable, str(tmp_path / "shop" / "server.py"), "--port", str(running.port)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert second.stderr == f"shop: cannot listen on 127.0.0.1:{running.port}: Address already in use\n"


def test_the_port_may_come_from_the_environment(running: Shop, tmp_path: Path) -> None:
    second = subprocess.run(
        [sys.executable, str(tmp_path / "shop" / "server.py")],
        env={"PORT": str(running.port)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert f":{running.port}: Address already in use" in second.stderr


async def test_sigterm_lets_a_running_request_finish(running: Shop) -> None:
    reader, writer = await raw(running, "GET /slow?ms=1000 HTTP/1.1")
    await asyncio.sleep(0.2)
    running.process.terminate()
    answer = await asyncio.wait_for(reader.read(), 20)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer
    assert running.process.wait(20) == 0
    writer.close()


async def test_sigterm_answers_a_request_that_was_already_on_its_way(running: Shop) -> None:
    reader, writer = await raw(running, "GET /items/1 HTTP/1.1")
    await reader.readuntil(b"cents")
    running.process.terminate()
    wait_for(lambda: not running.listens())
    writer.write(b"GET /items/2 HTTP/1.1\r\nhost: shop\r\n\r\n")
    assert b"Mug" in await asyncio.wait_for(reader.read(), 20)
    assert running.process.wait(20) == 0
    writer.close()


async def test_sigterm_asks_websockets_to_come_back_and_hangs_up_on_a_deaf_one(running: Shop) -> None:
    polite, deaf = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(2)]
    for reader, writer in (polite, deaf):
        writer.write(upgrade("shop"))
        await reader.readuntil(b"\r\n\r\n")
    slow = await raw(running, "GET /slow?ms=1500 HTTP/1.1")
    await asyncio.sleep(0.2)
    running.process.terminate()
    for reader, _ in (polite, deaf):
        opcode, payload = await asyncio.wait_for(read_frame(reader), 20)
        assert (opcode, int.from_bytes(payload[:2])) == (8, 1012)
    polite[1].write(masked(8, (1012).to_bytes(2)))
    ended, answered = (asyncio.create_task(reader.read(1)) for reader in (deaf[0], slow[0]))
    first, _ = await asyncio.wait({ended, answered}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    assert first == {ended}
    assert await ended == b""
    assert await answered == b"H"
    assert running.process.wait(20) == 0
    for _, writer in (polite, deaf, slow):
        writer.close()


def test_sigterm_under_load_loses_no_request_of_clients_that_look_before_they_write(
    running: Shop, tmp_path: Path
) -> None:
    with load(running.url, tmp_path / "load", clients=8, new=0, pause=0.005) as traffic:
        traffic.wait_sent(300)
        assert running.stop() == 0
        wait_for(lambda: traffic.live()["by_class"].get("refused"))
        summary = traffic.stop()
    assert summary["ok"] >= 300
    assert set(summary["by_class"]) == {"refused"}  # nobody listens any more: never sent, so nothing was cut off
    answered = [record for record in traffic.records() if not record["error"]]
    assert len(answered) == summary["ok"]
