"""The load generator counts what happened: its figures are evidence in tests and benchmarks, so they are tested."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.interfaces.cli.demo.wire import Connection
from tests.support.home import free_port
from tests.support.load import load
from tests.support.processes import wait_for
from tests.support.shop import shop

pytestmark = pytest.mark.e2e

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-shop-version: v9\r\n\r\nok"


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[str]:
    """A server that does to each connection what `serve` does."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, EOFError):
            return  # the client went away first
        finally:
            writer.close()

    listener = await asyncio.start_server(connected, "127.0.0.1", free_port())
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()


def answering(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer)

    return serve


async def measure(serve: Serve, tmp_path: Path, **options: float) -> dict[str, Any]:
    """Summary of a load that ends by itself."""
    async with server(serve) as url:
        with load(url, tmp_path / "load", **{"seconds": 0.5, "rate": 40, "post": 0, **options}) as traffic:
            return await asyncio.to_thread(_end, traffic.process.wait, traffic.stop)


def _end(wait: Callable[[float], int], stop: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    wait(60)
    return stop()


def test_the_counts_agree_with_the_services_own(tmp_path: Path) -> None:
    with shop(tmp_path / "shop") as running:
        with load(running.url, tmp_path / "load", rate=200, new=0.3, slow=4, websockets=3) as traffic:
            traffic.wait_sent(250)
            summary = traffic.stop()
        served = running.counters()
    kinds = [record["kind"] for record in traffic.records()]
    assert summary["sent"] == summary["ok"] == len(kinds) == summary["by_version"]["v1.0.0"]["ok"]
    assert (summary["failed"], summary["lost"], summary["under_way"]) == (0, 0, 0)
    assert served["/orders", 201] == kinds.count("post")
    assert served["/slow", 200] == kinds.count("slow") > 0
    assert served["/items", 200] + served["/items/{id}", 200] == kinds.count("get")
    assert served["/ws", 101] == summary["websockets"]["opened"] == 3
    assert summary["websockets"]["echoed"] == summary["websockets"]["messages"] >= 3
    assert 0.2 < summary["connections"]["opened"] / summary["sent"] < 0.5


def test_two_second_requests_are_waited_for_at_the_end(tmp_path: Path) -> None:
    with shop(tmp_path / "shop") as running, load(running.url, tmp_path / "load", rate=0, slow=20) as traffic:
        wait_for(lambda: traffic.live().get("sent"))
        summary = traffic.stop()
    assert summary["ok"] == summary["sent"] > 0
    assert all(record["ms"] >= 2000 for record in traffic.records())
    assert summary["ms"]["p50"] is None  # their latency would hide the others'


def test_a_killed_service_is_a_failure_of_the_transport(tmp_path: Path) -> None:
    with shop(tmp_path / "shop") as running, load(running.url, tmp_path / "load", rate=200, slow=20) as traffic:
        traffic.wait_sent(200)
        running.process.kill()
        wait_for(lambda: traffic.live()["by_class"].get("refused", 0) > 20)
        summary = traffic.stop()
    assert summary["failed"] == summary["lost"] == summary["by_version"]["none"]["lost"] > 20
    assert summary["by_class"].keys() <= {"refused", "reset", "closed"}
    assert summary["by_class"].keys() > {"refused"}  # those that were being served when it died


def test_websockets_come_back_after_a_restart(tmp_path: Path) -> None:
    with shop(tmp_path / "one") as first, load(first.url, tmp_path / "load", rate=0, websockets=4) as traffic:
        wait_for(lambda: traffic.live().get("websockets", {}).get("echoed", 0) >= 4)
        assert first.stop() == 0
        with shop(tmp_path / "two", port=first.port):
            wait_for(lambda: traffic.live()["websockets"]["opened"] >= 8)
            sockets = traffic.stop()["websockets"]
    assert sockets["closed_1012"] == 4
    assert sockets["opened"] == 8
    assert "closed_1006" not in sockets


def test_a_websocket_that_is_cut_off_is_told_apart_from_one_that_is_closed(tmp_path: Path) -> None:
    with shop(tmp_path / "shop") as running, load(running.url, tmp_path / "load", rate=0, websockets=2) as traffic:
        wait_for(lambda: traffic.live().get("websockets", {}).get("echoed", 0) >= 2)
        running.process.kill()
        wait_for(lambda: traffic.live()["websockets"].get("refused"))
        sockets = traffic.stop()["websockets"]
    assert sockets["closed_1006"] == 2


@pytest.mark.parametrize(
    ("answer", "error", "lost"),
    [
        (b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", "router", True),
        (b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", "router", True),
        (b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nX-Shop-Version: v9\r\n\r\n", "version", False),
        (b"HTTP/1.1 404 No\r\ncontent-length: 0\r\nx-shop-version: v9\r\n\r\n", "version", False),
        (b"SSH-2.0-teapot\r\n", "protocol", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", "protocol", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal", "timeout", True),
    ],
)
async def test_failures_are_told_apart_by_who_failed(answer: bytes, error: str, lost: bool, tmp_path: Path) -> None:
    summary = await measure(answering(answer), tmp_path, timeout=0.4, seconds=0.3)
    assert summary["by_class"] == {error: summary["sent"]}
    assert summary["lost"] == (summary["sent"] if lost else 0)


async def test_an_answer_that_breaks_off_is_lost(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK[:-1])

    summary = await measure(serve, tmp_path)
    assert summary["by_class"] == {"closed": summary["sent"]}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-shop-version: v9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nX-Shop-Version:v9\r\nContent-Length:2\r\n\r\nok",
    ],
)
async def test_any_http_1_answer_is_understood(answer: bytes, tmp_path: Path) -> None:
    summary = await measure(answering(answer), tmp_path, new=0)
    assert summary["by_version"].keys() == {"v9"}
    assert (summary["failed"], summary["ok"]) == (0, summary["sent"])
    assert summary["connections"]["opened"] < summary["sent"]


async def test_a_connection_that_was_closed_while_idle_is_put_aside_and_nothing_is_lost(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)  # keep-alive, it says; but closes

    summary = await measure(serve, tmp_path, clients=2, pause=0.05, new=0)
    assert (summary["failed"], summary["ok"]) == (0, summary["sent"])
    assert summary["connections"]["stale"] >= summary["sent"] - 4


async def test_open_loop_latency_counts_from_the_due_time(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(0.1)
            writer.write(OK)

    summary = await measure(serve, tmp_path, connections=1, seconds=0.25)  # 10 for one user, 0.1 s each
    assert summary["ok"] == summary["sent"] >= 8
    assert summary["ms"]["p99"] > 500


async def test_a_closed_loop_has_as_many_requests_under_way_as_it_has_clients(tmp_path: Path) -> None:
    busy, most = 0, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy, most
        while await reader.readuntil(b"\r\n\r\n"):
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.02)
            busy -= 1
            writer.write(OK)

    summary = await measure(serve, tmp_path, clients=7)
    assert most == 7
    assert summary["sent"] > 14


async def test_an_open_loop_goes_on_asking_whatever_the_service_does(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(silent) as url:
        with load(url, tmp_path / "load", rate=100) as traffic:
            await asyncio.to_thread(wait_for, lambda: traffic.live().get("sent", 0) >= 100)
            live = traffic.live()
    assert (live["ok"], live["failed"]) == (0, 0)
    assert live["under_way"] == live["sent"]


def test_the_live_file_says_what_the_last_seconds_brought(tmp_path: Path) -> None:
    with shop(tmp_path / "shop", "v1.2.0") as running, load(running.url, tmp_path / "load", rate=200) as traffic:
        traffic.wait_sent(300)
        live = traffic.live()
        assert not live["done"]
        assert live["sent"] == live["ok"] + live["failed"] + live["under_way"]
        recent = live["recent"]["by_version"]["v1.2.0"]
        assert 0 < recent["ok"] <= live["ok"]
        assert recent["ms"]["p50"] > 0
        running.process.kill()
        wait_for(lambda: "v1.2.0" not in traffic.live()["recent"]["by_version"])
        summary = traffic.stop()
    assert traffic.live() == summary
    assert summary["done"]


def test_what_was_due_while_the_generator_was_held_up_is_sent_late_and_not_left_out(tmp_path: Path) -> None:
    with shop(tmp_path / "shop") as running, load(running.url, tmp_path / "load", rate=50) as traffic:
        traffic.wait_sent(10)
        traffic.process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        traffic.process.send_signal(signal.SIGCONT)
        traffic.wait_sent(traffic.live()["sent"] + 50)
        traffic.stop()
    due = sorted(record["t"] for record in traffic.records())
    assert max(later - earlier for earlier, later in pairwise(due)) < 0.1


async def test_a_connection_is_not_fresh_from_the_moment_the_other_side_closes_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, *listener.getsockname())
        other, _ = listener.accept()
        assert connection.is_fresh()
        other.close()  # the loop has had no turn since
        assert not connection.transport.is_closing()
        assert not connection.is_fresh()
        connection.transport.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_summary(number: signal.Signals, tmp_path: Path) -> None:
    with shop(tmp_path / "shop") as running, load(running.url, tmp_path / "load", rate=50, websockets=1) as traffic:
        traffic.wait_sent(10)
        traffic.process.send_signal(number)
        assert traffic.process.wait(60) == 0
        assert traffic.stop()["failed"] == 0
        assert len(traffic.records()) == traffic.live()["sent"]
