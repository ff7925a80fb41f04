"""The daemon inside this process: admission, requests, idleness, and what it does to bad company."""

import asyncio
import json
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.core.redaction import MARK, Redactor
from soc_deploy_mcp.interfaces.daemon import listener, server
from soc_deploy_mcp.interfaces.daemon.hello import PROTOCOL, VERSION, Ack, Hello
from soc_deploy_mcp.interfaces.daemon.owner import own
from soc_deploy_mcp.interfaces.daemon.paths import Paths
from tests.interfaces.fake_app import FakeApp, Script

LINE = "prod --action deploy --version v1.0.0"
PATIENCE_S = 60


class Talk:
    """One connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self._number = reader, writer, 0

    async def greet(self, **said: Any) -> Ack:
        hello = Hello(VERSION, os.getpid(), "cli", "/", "/shop")._replace(**said)
        return Ack.read(await self.raw(hello.line()))

    async def raw(self, line: bytes) -> bytes:
        self.writer.write(line)
        return await asyncio.wait_for(self.reader.readline(), PATIENCE_S)

    async def send(self, method: str, **params: Any) -> int:
        self._number += 1
        self.writer.write(json.dumps({"id": self._number, "method": method, "params": params}).encode() + b"\n")
        return self._number

    async def hear(self) -> dict[str, Any]:
        return json.loads(await asyncio.wait_for(self.reader.readline(), PATIENCE_S))

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        await self.send(method, **params)
        return await self.hear()

    async def ended(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(), PATIENCE_S) == b""
        except ConnectionError:
            return True


class Served:
    def __init__(self, paths: Paths, app: FakeApp, task: "asyncio.Task[None]") -> None:
        self.paths, self.app, self.task = paths, app, task

    async def connect(self) -> Talk:
        return Talk(*await asyncio.open_unix_connection(self.paths.socket))

    async def talk(self, **said: Any) -> Talk:
        talk = await self.connect()
        assert (await talk.greet(**said)).ok
        return talk

    async def left(self) -> None:
        await asyncio.wait_for(self.task, PATIENCE_S)


@asynccontextmanager
async def served(script: Script | None = None, kind: type[FakeApp] = FakeApp, **options: Any) -> AsyncIterator[Served]:
    with tempfile.TemporaryDirectory(prefix="sd-", dir="/tmp") as name:
        paths, app = Paths.of(name), kind(script)
        owner = own(paths)
        task = asyncio.create_task(server.serve(paths, app, owner=owner, alone=False, **options))
        await true(lambda: os.path.exists(paths.socket))
        try:
            yield Served(paths, app, task)
        finally:
            task.cancel()
            await asyncio.wait([task])
            await app.close()
            owner.release()


async def true(look: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_socket_is_for_its_owner_alone() -> None:
    async with served() as daemon:
        assert stat.S_IMODE(os.stat(daemon.paths.socket).st_mode) == 0o600


async def test_a_run_is_begun_followed_and_reported() -> None:
    async with served(Script(steps=2, pace=0.01)) as daemon:
        talk = await daemon.talk()
        run = (await talk.ask("begin", line=LINE))["result"]
        assert run["line"] == "/soc-deploy prod --action deploy --version v1.0.0"
        number = await talk.send("follow", run=run["id"])
        texts = []
        while "event" in (message := await talk.hear()):
            texts.append(message["event"]["text"])
        assert message == {"id": number, "result": None}
        assert texts[-1] == "succeeded"
        assert "Deployment Report" in (await talk.ask("report", run=run["id"], form="markdown"))["result"]


async def test_the_caller_is_what_the_socket_says() -> None:
    async with served() as daemon:
        await (await daemon.talk(project="/shop")).ask("runs")
        (_, caller), *_ = daemon.app.calls
        assert (caller.kind, caller.subject, caller.project) == ("cli", f"uid:{os.getuid()}", "/shop")


async def test_requests_are_answered_side_by_side() -> None:
    async with served(Script(steps=1, pace=3600)) as daemon:
        talk = await daemon.talk()
        run = (await talk.ask("begin", line=LINE))["result"]["id"]
        await talk.send("follow", run=run)
        while "preflight" not in (await talk.hear())["event"]["text"]:
            pass
        assert (await talk.ask("open_runs"))["result"] == 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"id":1,"method":"begin","params":{"line":"prod --action deploy --versoin v1"}}\n', "E_FLAG_UNKNOWN"),
        (b'{"id":1,"method":"begin"}\n', "E_PROTOCOL"),
        (b'{"id":1,"method":"answer","params":{}}\n', "E_PROTOCOL"),
        (b'{"id":1,"method":"__class__"}\n', "E_PROTOCOL"),
        (b'{"id":1,"method":"close"}\n', "E_PROTOCOL"),
        (b'{"id":1}\n', "E_PROTOCOL"),
        (b"[1]\n", "E_PROTOCOL"),
        (b"\xff\n", "E_PROTOCOL"),
        (b"[" * 5000 + b"\n", "E_PROTOCOL"),
        (b'{"id":1,"method":"view","params":{"run":"run_0"}}\n', "E_RUN_UNKNOWN"),
    ],
)
async def test_a_bad_request_is_answered_and_the_connection_lives(line: bytes, code: str) -> None:
    async with served() as daemon:
        talk = await daemon.talk()
        assert json.loads(await talk.raw(line))["error"]["code"] == code
        assert (await talk.ask("runs"))["result"] == []


async def test_a_defect_is_told_without_its_details() -> None:
    async with served() as daemon:
        daemon.app.faults["runs"] = RuntimeError("password=hunter2hunter2")
        answer = await (await daemon.talk()).ask("runs")
        assert answer["error"]["code"] == "E_INTERNAL"
        assert "hunter2" not in json.dumps(answer)


async def test_secrets_do_not_leave() -> None:
    secret = "s3cr3t-v4lue-xyz"
    async with served(Script(note=f"it printed {secret}"), redactor=Redactor([secret])) as daemon:
        talk = await daemon.talk()
        run = (await talk.ask("begin", line=LINE))["result"]["id"]
        report = (await talk.ask("report", run=run, form="markdown"))["result"]
        assert secret not in report
        assert MARK in report


class Slow(FakeApp):
    async def begin(self, line: Any, caller: Any) -> Any:
        self.calls.append(("begin", caller))
        await asyncio.sleep(0.3)
        return await super().begin(line, caller)


@pytest.mark.parametrize("role", ["cli", "mcp"])
async def test_an_order_is_carried_out_although_its_client_hung_up(role: str) -> None:
    async with served(Script(steps=1), Slow) as daemon:
        talk = await daemon.talk(role=role)
        if role == "cli":
            await talk.send("begin", line=LINE)
        else:
            await talk.raw(mcp(1, "initialize", **INITIALIZE))
            talk.writer.write(mcp(2, "tools/call", name="soc_deploy", arguments={"instruction": LINE}))
        await true(lambda: daemon.app.calls)
        talk.writer.close()
        await true(lambda: [run.state for run in daemon.app.fakes.values()] == ["SUCCEEDED"])


async def test_a_stranger_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as daemon:
        monkeypatch.setattr(server, "uid_of", lambda _: os.getuid() + 1)
        talk = await daemon.connect()
        talk.writer.write(Hello(VERSION, 1, "cli", "/", "/").line())
        assert await talk.ended()
        assert daemon.app.calls == []


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\n", b"{}\n", b"\xff\xfe\n", b'{"soc_deploy":1}\n'])
async def test_what_is_no_hello_is_refused(line: bytes) -> None:
    async with served() as daemon:
        talk = await daemon.connect()
        ack = Ack.read(await talk.raw(line))
        assert (ack.ok, ack.retry, ack.code) == (False, False, "E_PROTOCOL")
        assert await talk.ended()


async def test_silence_is_no_hello_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TIMEOUT", 0.05)
    async with served() as daemon:
        assert await (await daemon.connect()).ended()


async def test_a_line_over_the_limit_ends_its_connection_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "LONGEST", 100_000)
    async with served() as daemon:
        other, talk = await daemon.talk(), await daemon.talk()
        talk.writer.write(b"x" * 300_000)
        assert await talk.ended()
        assert (await other.ask("runs"))["result"] == []


async def test_idle_it_leaves_and_takes_its_socket_along() -> None:
    async with served(idle_s=0.05) as daemon:
        await daemon.left()
        assert not os.path.exists(daemon.paths.socket)


async def test_a_connection_or_an_open_run_keeps_it() -> None:
    async with served(Script(steps=1, pace=0.4), idle_s=0.05) as daemon:
        talk = await daemon.talk()
        await talk.ask("begin", line=LINE)
        await true(lambda: os.path.exists(daemon.paths.open))
        talk.writer.close()
        await daemon.left()
        assert [run.state for run in daemon.app.fakes.values()] == ["SUCCEEDED"]
        assert not os.path.exists(daemon.paths.open)


async def test_a_run_that_waits_for_a_person_does_not_keep_it() -> None:
    async with served(Script(waits=True), idle_s=0.05) as daemon:
        talk = await daemon.talk()
        await talk.ask("begin", line=LINE)
        talk.writer.close()
        await daemon.left()


async def test_another_version_makes_it_leave_when_nothing_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as daemon:
        said, line = [], Ack.line

        def seen(ack: Ack) -> bytes:
            said.append((ack.retry, os.path.exists(daemon.paths.socket)))
            return line(ack)

        monkeypatch.setattr(Ack, "line", seen)
        ack = await (await daemon.connect()).greet(version="9.9.9")
        assert (ack.ok, ack.retry) == (False, True)
        assert said == [(True, False)]  # no longer to be found when it answers: the client must not meet it again
        await daemon.left()


async def test_another_version_is_served_while_a_run_is_open_and_another_protocol_is_not() -> None:
    async with served(Script(pace=3600)) as daemon:
        run = (await (await daemon.talk()).ask("begin", line=LINE))["result"]["id"]
        assert (await (await daemon.connect()).greet(version="9.9.9")).ok
        refused = await (await daemon.connect()).greet(version="9.9.9", protocol=PROTOCOL + 1)
        assert (refused.ok, refused.retry, refused.code) == (False, False, "E_DAEMON_OLDER")
        assert run in refused.why


async def test_status_tells_what_is_needed_to_find_it() -> None:
    async with served() as daemon:
        told = (await (await daemon.talk()).ask("daemon.status"))["result"]
        assert told["pid"] == os.getpid()
        assert told["version"] == VERSION
        assert told["socket"] == daemon.paths.socket
        assert (told["connections"], told["open_runs"]) == (1, 0)
        assert told["uptime_s"] >= 0


async def test_stop_is_refused_while_runs_are_open_unless_forced() -> None:
    async with served(Script(pace=3600)) as daemon:
        talk = await daemon.talk()
        await talk.ask("begin", line=LINE)
        assert (await talk.ask("daemon.stop"))["error"]["code"] == "E_DAEMON_BUSY"
        assert (await talk.ask("daemon.stop", force="yes"))["error"]["code"] == "E_DAEMON_BUSY"
        assert (await talk.ask("daemon.stop", force=True))["result"]["open_runs"] == 1
        await daemon.left()


async def test_a_removed_socket_directory_is_made_again() -> None:
    async with served() as daemon:
        Path(daemon.paths.socket).unlink()
        await true(lambda: os.path.exists(daemon.paths.socket))
        assert (await (await daemon.talk()).ask("runs"))["result"] == []


async def test_it_makes_room_for_a_daemon_that_took_its_place() -> None:
    async with served() as daemon:
        os.unlink(daemon.paths.owner)
        os.unlink(daemon.paths.socket)
        other = own(daemon.paths)
        listening = await asyncio.start_unix_server(lambda r, w: None, daemon.paths.socket)
        await daemon.left()
        assert os.path.exists(daemon.paths.socket)
        listening.close()
        other.release()


async def test_leaving_answers_what_is_asked_and_drops_what_streams() -> None:
    async with served(Script(pace=3600)) as daemon:
        follower, stopper = await daemon.talk(), await daemon.talk()
        run = (await stopper.ask("begin", line=LINE))["result"]["id"]
        await follower.send("follow", run=run)
        await follower.hear()
        assert "result" in await stopper.ask("daemon.stop", force=True)
        await follower.ended()
        await daemon.left()


@pytest.mark.parametrize("round", range(4))
async def test_a_client_that_comes_while_it_leaves_is_served_or_knows_to_try_again(round: int) -> None:
    """Never a connection that was taken in and is then forgotten."""
    served_, again = 0, 0
    for number in range(25):
        async with served(idle_s=0.02) as daemon:
            await asyncio.sleep(0.014 + 0.0005 * number)
            try:
                talk = await daemon.connect()
                ack = await talk.greet()
            except (OSError, ValueError):
                again += 1
                continue
            assert ack.ok
            assert (await talk.ask("runs"))["result"] == []
            served_ += 1
    assert served_ + again == 25


# --- MCP on the socket


def mcp(number: int, method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "hand", "version": "1"}}


@pytest.mark.parametrize(
    "odd",
    [
        b"\xff\xfe\xfd\n",
        b"not json\n",
        b"\n\n  \n",
        b"[]\n",
        b"[" * 5000 + b"\n",
        b'[{"jsonrpc":"2.0","id":7,"method":"ping"}]\n',
        b'{"jsonrpc":"2.0","method":"notifications/unheard-of"}\n',
        b'{"jsonrpc":"2.0","id":null,"method":"ping"}\n',
        b'{"jsonrpc":"2.0","id":99,"result":{}}\n',
    ],
)
async def test_odd_lines_do_not_end_a_chat(odd: bytes) -> None:
    async with served() as daemon:
        talk = await daemon.talk(role="mcp")
        assert json.loads(await talk.raw(mcp(1, "initialize", **INITIALIZE)))["id"] == 1
        talk.writer.write(odd)
        while (answer := json.loads(await talk.raw(mcp(2, "ping"))))["id"] != 2:
            pass
        assert answer["result"] == {}


async def test_a_chat_that_ends_in_mid_line_leaves_nothing_behind() -> None:
    async with served() as daemon:
        talk = await daemon.talk(role="mcp")
        await talk.raw(mcp(1, "initialize", **INITIALIZE))
        talk.writer.write(mcp(2, "tools/list")[:20])
        talk.writer.close()
        other = await daemon.talk()
        await true_async(lambda: other.ask("daemon.status"), 1)


async def test_two_chats_do_not_share_their_callers() -> None:
    async with served() as daemon:
        for project in ("/one", "/two"):
            talk = await daemon.talk(role="mcp", project=project)
            await talk.raw(mcp(1, "initialize", **INITIALIZE))
            await talk.raw(mcp(2, "tools/call", name="status", arguments={}))
            assert daemon.app.calls[-1][1].project == project
            assert daemon.app.calls[-1][1].client == "hand 1"


async def true_async(status: Callable[[], Any], connections: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await status())["result"]["connections"] != connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
