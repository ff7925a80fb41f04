"""A load generator as users would be: `python load.py http://127.0.0.1:8080 --rate 300`. Standard library only.

Open loop (`--rate`): requests leave at their due times whatever the answers do, and a latency counts from the due
time, so a service that stalls cannot hide it. Closed loop (`--clients`): so many users, each waits for its answer.
Nothing is ever retried. Before a kept-alive connection is used again it is looked at: a client that writes into a
connection the other side has closed counts failures that no router can avoid.
SIGTERM or SIGINT: sends no more, waits for what is under way, prints the summary as JSON and ends with 0.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TextIO
from urllib.parse import urlsplit

from soc_deploy_mcp.interfaces.cli.demo.tally import LOST, PERIOD_S, Outcome, Tally
from soc_deploy_mcp.interfaces.cli.demo.wire import Connection, Lost, masked, read_frame, upgrade

ITEMS = 24  # of the example shop
AFTER_LOSS_S = 0.05  # a closed-loop user who got no answer waits this long: refusals are quick and would flood

Choose = Callable[[], tuple[str, bytes]]  # kind and bytes of the next request


class Requests:
    """What users ask for: one item (half of all by default), the list of items, or an order."""

    def __init__(self, host: str, post_share: float, seed: int) -> None:
        self.host, self.post_share, self.dice = host, post_share, random.Random(seed)

    def usual(self) -> tuple[str, bytes]:
        item = self.dice.randint(1, ITEMS)
        if self.dice.random() < self.post_share:
            return "post", self._build("POST", "/orders", b'{"item": %d, "quantity": 1}' % item)
        return "get", self._build("GET", f"/items/{item}" if self.dice.random() < 0.7 else "/items")

    def slow(self) -> tuple[str, bytes]:
        return "slow", self._build("GET", "/slow?ms=2000")

    def _build(self, method: str, path: str, body: bytes = b"") -> bytes:
        length = f"content-length: {len(body)}\r\n" if body else ""
        return f"{method} {path} HTTP/1.1\r\nhost: {self.host}\r\n{length}\r\n".encode() + body


class Load:
    """The users: their connections, their requests under way, and what came of them."""

    def __init__(self, options: argparse.Namespace, record: TextIO | None) -> None:
        url = urlsplit(options.url if "//" in options.url else f"//{options.url}")
        self.host, self.port = url.hostname or "127.0.0.1", url.port or 80
        self.options, self.record = options, record
        self.requests = Requests(f"{self.host}:{self.port}", options.post, options.seed)
        self.dice = random.Random(options.seed + 1)
        self.tally = Tally()
        self.idle: list[Connection] = []  # the last one used is the next one: the others may grow old in peace
        self.room = asyncio.Semaphore(options.connections)
        self.under_way: set[asyncio.Task[Outcome]] = set()
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM, SIGINT or --seconds; then until nothing is under way (--timeout bounds that)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stopping.set)
        publishing = asyncio.create_task(self._publish())
        users = [asyncio.create_task(user) for user in self._users()]
        await self._pause(self.options.seconds)
        self.stopping.set()
        await asyncio.gather(*users, *self.under_way)
        publishing.cancel()
        for connection in self.idle:
            connection.transport.close()

    def _users(self) -> Iterator[Coroutine[Any, Any, None]]:
        options = self.options
        if options.clients:
            yield from (self._client() for _ in range(options.clients))
        elif options.rate:
            yield self._open_loop(options.rate, self.requests.usual)
        if options.slow:
            yield self._open_loop(options.slow, self.requests.slow)
        yield from (self._websocket() for _ in range(options.websockets))

    async def _open_loop(self, rate: float, choose: Choose) -> None:
        due = time.monotonic()
        while not self.stopping.is_set():
            while due <= time.monotonic():
                self._start(choose, due)
                due += 1 / rate
            await self._pause(due - time.monotonic())

    async def _client(self) -> None:
        while not self.stopping.is_set():
            outcome = await self._start(self.requests.usual, time.monotonic())
            await self._pause(AFTER_LOSS_S if outcome.error in LOST else self.options.pause)

    def _start(self, choose: Choose, due: float) -> asyncio.Task[Outcome]:
        self.tally.sent += 1
        task = asyncio.create_task(self._one(*choose(), due))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        return task

    async def _one(self, kind: str, request: bytes, due: float) -> Outcome:
        status, version, error = 0, "", ""
        try:
            # The loop's clock is time.monotonic (asyncio.BaseEventLoop.time), so `due` is a time of the loop.
            async with asyncio.timeout_at(due + self.options.timeout), self.room:
                status, version = await self._exchange(request)
            if status >= 400:
                error = "version" if version else "router"
        except Lost as lost:
            error = str(lost)
        except TimeoutError:
            error = "timeout"
        took = time.monotonic() - due
        outcome = Outcome(kind, time.time() - took, took * 1000, status, version or "none", error)
        self.tally.add(outcome)
        if self.record:
            self.record.write(outcome.line())
        return outcome

    async def _exchange(self, request: bytes) -> tuple[int, str]:
        connection = await self._connection()
        answered = False
        try:
            answer = await connection.ask(request)
            answered = True
            return answer
        finally:
            if answered and connection.keep_alive:
                self.idle.append(connection)
            else:
                connection.transport.abort()

    async def _connection(self) -> Connection:
        """A kept-alive one that is still open, or a new one: always for the share of --new, where an old one goes."""
        if self.dice.random() < self.options.new:
            if self.idle:
                self.idle.pop(0).transport.close()
            return await self._connect()
        while self.idle:
            connection = self.idle.pop()
            if connection.is_fresh():
                return connection
            self.tally.stale += 1
            connection.transport.close()
        return await self._connect()

    async def _connect(self) -> Connection:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(Connection, self.host, self.port)
        except TimeoutError:
            raise
        except ConnectionRefusedError:
            raise Lost("refused") from None
        except OSError as error:
            raise Lost("reset" if isinstance(error, ConnectionError) else "local") from None
        self.tally.opened += 1
        return connection

    async def _websocket(self) -> None:
        """One user of the echo, who comes back at once when the other side hangs up."""
        counts = self.tally.websockets
        while not self.stopping.is_set():
            try:
                reader, writer = await asyncio.wait_for(self._upgraded(), self.options.timeout)
            except (OSError, EOFError):
                counts["refused"] += 1
                await self._pause(AFTER_LOSS_S)
                continue
            counts["opened"] += 1
            speaking = asyncio.create_task(self._speak(writer))
            try:
                await self._listen(reader, writer)
            except (OSError, EOFError):
                counts["closed_1006"] += 1  # RFC 6455, 7.4.1: ended without a close frame
            finally:
                speaking.cancel()
                writer.close()

    async def _upgraded(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(upgrade(f"{self.host}:{self.port}"))
            if (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101"):
                return reader, writer
            raise ConnectionError("the server stays with HTTP")
        except BaseException:
            writer.close()
            raise

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (frame := await asyncio.wait_for(read_frame(reader), self.options.timeout))[0] != 8:
            self.tally.websockets["echoed"] += 1
        if not self.stopping.is_set():
            writer.write(masked(8, frame[1]))
            self.tally.websockets[f"closed_{int.from_bytes(frame[1][:2]) or 1005}"] += 1

    async def _speak(self, writer: asyncio.StreamWriter) -> None:
        while not self.stopping.is_set():
            self.tally.websockets["messages"] += 1
            writer.write(masked(1, b"still there?"))
            await self._pause(0.5)
        writer.write(masked(8, (1000).to_bytes(2)))

    async def _pause(self, seconds: float | None) -> None:
        """Sleep, but not over the end. None: until the end."""
        if seconds is None or seconds > 0.1:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), seconds)
        else:
            await asyncio.sleep(seconds)

    async def _publish(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            if self.options.live:
                replace(self.options.live, self.tally.live())
            if self.record:
                self.record.flush()
            self.tally.next_period()


def replace(path: str, data: dict[str, Any]) -> None:
    """In one step, so that whoever watches never reads half of it."""
    with open(f"{path}.tmp", "w", encoding="utf-8") as file:
        json.dump(data, file)
    os.replace(f"{path}.tmp", path)


def arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="load.py", description="Steady HTTP load on the example shop.")
    parser.add_argument("url", help="http://127.0.0.1:8080")
    parser.add_argument("--rate", type=float, default=300, help="requests a second, open loop (300)")
    parser.add_argument("--clients", type=int, default=0, help="closed loop with so many users, instead of --rate")
    parser.add_argument("--pause", type=float, default=0, help="closed loop: seconds between answer and next request")
    parser.add_argument("--connections", type=int, default=900, help="at most so many busy ones; more wait (900)")
    parser.add_argument("--new", type=float, default=0.2, help="share of requests on a new connection (0.2)")
    parser.add_argument("--post", type=float, default=0.3, help="share of orders (0.3)")
    parser.add_argument("--slow", type=float, default=0, help="two-second requests a second, besides (0)")
    parser.add_argument("--websockets", type=int, default=0, help="websockets that talk and reconnect, besides (0)")
    parser.add_argument("--timeout", type=float, default=15, help="seconds after which a request is lost (15)")
    parser.add_argument("--seconds", type=float, default=None, help="end by itself after this (at SIGTERM)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the requests (1)")
    parser.add_argument("--record", help="write each request to this file, a JSON line each")
    parser.add_argument("--live", help="write the counters to this file each half second, at the end the summary")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    options = arguments(words)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with open(options.record, "w", encoding="utf-8") if options.record else contextlib.nullcontext() as record:
        load = Load(options, record)
        asyncio.run(load.run())
    summary = load.tally.summary()
    if options.live:
        replace(options.live, summary)
    json.dump(summary, sys.stdout)
    print()


if __name__ == "__main__":
    main()
