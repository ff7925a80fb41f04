"""Shims, daemons and supervisors as real processes."""

import ast
import fcntl
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.interfaces.daemon import client
from soc_deploy_mcp.interfaces.daemon.client import Client
from soc_deploy_mcp.interfaces.daemon.hello import PROTOCOL, VERSION, Ack
from soc_deploy_mcp.interfaces.daemon.memory import LOST
from tests.interfaces.daemon.homes import DAEMON, SHIM, Home, Lines, alive, home, until

pytestmark = pytest.mark.e2e

LINE = "prod --action deploy --version v1.0.0"
FOR_EVER = {"steps": 100_000, "pace": 0.05}


@pytest.fixture
def at() -> Iterator[Home]:
    with home() as made:
        yield made


def outcome(answer: dict[str, Any]) -> dict[str, Any]:
    return answer["result"]["structuredContent"]


def left(child: "subprocess.Popen[bytes]") -> tuple[int, bytes]:
    """Exit code and stderr of a shim that is about to end."""
    child.wait(60)
    assert child.stderr is not None
    return child.returncode, child.stderr.read()


# --- starting


def test_fifty_first_clients_at_once_start_one_daemon(at: Home) -> None:
    chats = [Lines(at.shim()) for _ in range(50)]
    numbers = [chat.send("ping") for chat in chats]
    assert all("result" in chat.answer(number) for chat, number in zip(chats, numbers, strict=True))
    assert len(at.born()) == 1


def test_while_somebody_starts_it_others_wait(at: Home) -> None:
    at.paths.prepare()
    with open(at.paths.starter, "w") as starter:
        fcntl.flock(starter, fcntl.LOCK_EX)
        at.shim()
        time.sleep(0.5)
        assert not os.path.exists(os.path.join(at.paths.supervisor, "spec.json"))
    until(lambda: at.connected() == 1)


def test_a_second_daemon_leaves_with_an_error(at: Home) -> None:
    at.client().close()
    second = subprocess.run(DAEMON, env=at.environ, capture_output=True, timeout=60)
    assert second.returncode == 1
    assert b"Another daemon serves this state home" in second.stderr
    assert len(at.living()) == 1


def test_a_daemon_that_cannot_start_is_one_line_that_names_the_log_and_the_way_out(at: Home) -> None:
    at.script = {"crash": True}
    code, said = left(at.shim())
    assert code == 1
    assert said.count(b"\n") == 1
    assert b"E_DAEMON" in said
    assert at.paths.log.encode() in said
    assert b"soc-deploy serve --in-process" in said
    assert "a defect at the start" in at.log()


def test_a_long_home_works_through_a_short_socket(tmp_path: Path) -> None:
    made = Home(tmp_path / ("long" * 30))
    try:
        with made.client() as found:
            assert found.call("daemon.status")["socket"] == made.paths.socket
        assert not made.paths.socket.startswith(str(tmp_path))
    finally:
        made.close()


def test_a_killed_idle_daemon_stays_down_until_somebody_asks(at: Home) -> None:
    at.client().close()
    os.kill(at.born()[0], signal.SIGKILL)
    status = Path(at.paths.supervisor, "status.json")
    until(lambda: json.loads(status.read_text())["state"] == "failed", "the supervisor gave up")
    assert os.path.exists(at.paths.socket)  # stale
    at.client().close()
    assert len(at.born()) == 2


def test_the_daemon_knows_nothing_of_the_clients_keys(at: Home) -> None:
    held = {"ANTHROPIC_API_KEY": "planted-0815", "PYTHONPATH": "/nowhere"}
    at.shim(environ=at.environ | held)
    until(lambda: at.connected() == 1)
    seen = Path(f"/proc/{at.born()[0]}/environ").read_text()
    assert "planted-0815" not in seen
    assert "PYTHONPATH" not in seen
    for place in Path(at.root).rglob("*"):
        assert not place.is_file() or b"planted-0815" not in place.read_bytes()


def test_modules_of_the_users_project_are_not_run(at: Home, tmp_path: Path) -> None:
    for name in ("json", "socket", "asyncio", "pydantic", "soc_deploy_mcp"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile module was run')")
    chat = Lines(at.shim(cwd=str(tmp_path)))
    assert outcome(chat.initialize() and chat.call("status"))["state"] == "answered"
    assert "hostile" not in at.log()


def test_the_daemon_stands_in_the_root_directory_and_owns_no_terminal(at: Home) -> None:
    at.client().close()
    pid = at.born()[0]
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_another_user_is_hung_up_on_even_if_the_file_system_lets_them_in(at: Home) -> None:
    at.client().close()
    for path in (at.root, at.paths.run):
        os.chmod(path, 0o711)
    os.chmod(at.paths.socket, 0o666)
    knock = (
        "import os,socket; os.setuid(65534); s=socket.socket(socket.AF_UNIX); "
        f"s.connect({at.paths.socket!r}); s.settimeout(60); print(s.recv(100))"
    )
    assert subprocess.run([sys.executable, "-c", knock], capture_output=True, timeout=120).stdout == b"b''\n"
    assert "uid 65534 was turned away" in at.log()


# --- law 9

_ONLY = """
import os, sys
before = set(sys.modules)
{do}
roots = {{name.partition(".")[0] for name in set(sys.modules) - before}}
foreign = sorted(roots - set(sys.stdlib_module_names) - {{"soc_deploy_mcp"}})
heavy = sorted(roots & {{"asyncio", "typing_extensions", "dataclasses", "inspect", "subprocess", "hashlib", "logging"}})
sys.stderr.write(repr((foreign, heavy)))
sys.stderr.flush()
"""


def modules(at: Home, do: str, *words: str) -> tuple[list[str], list[str]]:
    script = _ONLY.format(do=do)
    child = subprocess.run(
        [sys.executable, "-P", "-c", script, *words], env=at.environ, input=b"", capture_output=True, timeout=120
    )
    found: tuple[list[str], list[str]] = ast.literal_eval(child.stderr.splitlines()[-1].decode())
    return found


def test_the_shim_imports_the_standard_library_only(at: Home) -> None:
    at.client().close()
    do = f"from soc_deploy_mcp.interfaces.daemon import shim; assert shim.main([], daemon={DAEMON!r}) == 0"
    assert modules(at, do) == ([], [])


def test_starting_the_daemon_imports_the_standard_library_only(at: Home) -> None:
    do = f"from soc_deploy_mcp.interfaces.daemon import shim; assert shim.main([], daemon={DAEMON!r}) == 0"
    assert modules(at, do) == ([], [])
    assert len(at.born()) == 1


def test_the_command_lines_client_imports_the_standard_library_only(at: Home) -> None:
    do = f"""
from soc_deploy_mcp.interfaces.daemon.client import Client
client = Client.open(os.environ, {DAEMON!r})
assert client.call("runs") == []
run = client.call("begin", line={LINE!r})
assert [event for event in client.follow(run["id"])][-1]["stops"]
"""
    assert modules(at, do) == ([], [])


def test_serve_reaches_the_shim_before_anything_else(at: Home) -> None:
    do = "sys.argv[1:] = ['serve', '--no-such-flag']; from soc_deploy_mcp.__main__ import main; assert main() == 64"
    foreign, _ = modules(at, do)
    assert foreign == []


# --- two versions


def test_a_client_of_another_version_replaces_an_idle_daemon(at: Home) -> None:
    at.script = {"version": "0.0.9"}
    at.admitted(version="0.0.9")[0].close()
    at.script = {}
    with at.client() as found:
        assert found.ack.version == VERSION
    assert len(at.born()) == 2
    until(lambda: len(at.living()) == 1, "the old one left")


def test_versions_that_differ_are_named_in_every_answer_while_a_run_is_open(at: Home) -> None:
    at.script = {"version": "0.0.9", **FOR_EVER}
    sock, _ = at.admitted(version="0.0.9")
    sock.sendall(json.dumps({"id": 1, "method": "begin", "params": {"line": LINE}}).encode() + b"\n")
    sock.recv(65_536)
    chat = Lines(at.shim())
    chat.initialize()
    for answer in (chat.call("status"), chat.call("status", run_id=at.fakes()[0]["id"])):
        assert f"client version {VERSION}, daemon version 0.0.9" in answer["result"]["content"][0]["text"]
        assert "0.0.9" in outcome(answer)["data"]["note"]
    assert len(at.born()) == 1
    sock.close()


def test_another_protocol_is_told_which_run_to_wait_for_and_can_still_stop_it(
    at: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    at.script = FOR_EVER
    with at.client() as old:
        run = old.call("begin", line=LINE)["id"]
    with pytest.raises(DeployError) as told:
        at.admitted(version="9.0.0", protocol=PROTOCOL + 1)
    assert told.value.code == "E_DAEMON_OLDER"
    assert run in told.value.why
    hello = client.hello_of
    newer = lambda *words, **more: hello(*words, **more)._replace(version="9.0.0", protocol=PROTOCOL + 1)  # noqa: E731
    monkeypatch.setattr(client, "hello_of", newer)
    with pytest.raises(DeployError, match="does not understand"):
        client.stop(at.environ)
    assert client.stop(at.environ, force=True)
    assert at.living() == []


# --- who survives what


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_chat_without_a_word_and_nothing_else(at: Home, number: signal.Signals) -> None:
    shim = at.shim()
    until(lambda: at.connected() == 1)
    shim.send_signal(number)
    assert left(shim) == (-number, b"")
    assert len(at.living()) == 1


def test_a_chat_that_closes_its_side_ends_with_zero(at: Home) -> None:
    shim = at.shim()
    until(lambda: at.connected() == 1)
    assert shim.stdin is not None
    shim.stdin.close()
    assert left(shim) == (0, b"")


def test_a_client_killed_with_its_whole_group_does_not_touch_the_run(at: Home) -> None:
    at.script = {"steps": 5, "pace": 0.1}
    shim = subprocess.Popen(
        SHIM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", env=at.environ, start_new_session=True
    )
    at.children.append(shim)
    chat = Lines(shim)
    chat.initialize()
    chat.send("tools/call", name="soc_deploy", arguments={"instruction": LINE})
    until(at.fakes, "the run began")
    os.killpg(shim.pid, signal.SIGKILL)
    until(lambda: at.fakes()[0]["state"] == "SUCCEEDED", "the run went on")
    assert at.fakes()[0]["resumed"] == 0


def test_a_cancelled_call_does_not_touch_the_run(at: Home) -> None:
    at.script = {"steps": 5, "pace": 0.1}
    chat = Lines(at.shim())
    chat.initialize()
    number = chat.send("tools/call", name="soc_deploy", arguments={"instruction": LINE})
    until(at.fakes, "the run began")
    chat.say({"method": "notifications/cancelled", "params": {"requestId": number}})
    until(lambda: at.fakes()[0]["state"] == "SUCCEEDED", "the run went on")


def test_a_daemon_killed_in_mid_run_is_back_and_the_chat_goes_on(at: Home) -> None:
    at.script = {"steps": 30, "pace": 0.1}
    chat = Lines(at.shim())
    chat.initialize()
    open_call = chat.send("tools/call", name="soc_deploy", arguments={"instruction": LINE})
    until(lambda: at.fakes() and at.fakes()[0]["done"] > 1 and os.path.exists(at.paths.open), "the run is marked open")
    os.kill(at.born()[0], signal.SIGKILL)
    error = chat.answer(open_call)["error"]
    assert error["code"] == LOST
    assert "the run goes on" in error["message"]
    until(lambda: len(at.born()) == 2, "the supervisor brought it back, nobody asked")
    run = at.fakes()[0]["id"]
    state = ""
    while state != "succeeded":
        state = outcome(chat.call("status", run_id=run, wait_s=5))["state"]
    assert at.fakes()[0]["resumed"] == 1
    assert len(at.born()) == 2


def test_a_daemon_that_is_told_to_leave_in_mid_run_is_not_brought_back_and_the_run_resumes_later(at: Home) -> None:
    at.script = {"steps": 20, "pace": 0.1}
    with at.client() as found:
        found.call("begin", line=LINE)
        until(lambda: os.path.exists(at.paths.open), "the run is marked open")
    os.kill(at.born()[0], signal.SIGTERM)
    until(lambda: at.living() == [], "it left")
    assert not os.path.exists(at.paths.socket)
    assert not os.path.exists(at.paths.open)
    assert len(at.born()) == 1
    with at.client() as found:
        last = list(found.follow(at.fakes()[0]["id"]))[-1]
    assert last is not None
    assert last["state"] == "SUCCEEDED"
    assert at.fakes()[0]["resumed"] == 1


def test_an_interrupted_daemon_leaves_without_a_traceback(at: Home) -> None:
    at.client().close()
    os.kill(at.born()[0], signal.SIGINT)
    status = Path(at.paths.supervisor, "status.json")
    until(lambda: json.loads(status.read_text())["state"] == "exited")
    assert json.loads(status.read_text())["code"] == 0
    assert "Traceback" not in at.log()


def test_a_daemon_whose_application_does_not_end_is_ended(at: Home) -> None:
    at.script = {"hang_s": 3600, "stop_s": 0.2}
    at.client().close()
    os.kill(at.born()[0], signal.SIGTERM)
    until(lambda: at.living() == [], "it was ended")


def test_an_idle_daemon_leaves_and_a_chat_that_comes_then_is_served(at: Home) -> None:
    at.script = {"idle_s": 0.2}
    for _ in range(6):
        with at.client() as found:
            assert found.call("runs") == []
        time.sleep(0.2)
    assert len(at.living()) <= 1


# --- the command line's client


def test_following_survives_the_daemon(at: Home) -> None:
    at.script = {"steps": 30, "pace": 0.1}
    with at.client() as found:
        seen = []
        for event in found.follow(found.call("begin", line=LINE)["id"], tick=0.05):
            if event is None:
                continue
            seen.append(event["seq"])
            if len(seen) == 4:
                until(lambda: os.path.exists(at.paths.open))
                os.kill(at.born()[0], signal.SIGKILL)
        assert event is not None
        assert event["state"] == "SUCCEEDED"
        assert seen == sorted(set(seen))
        assert found.call("view", run=at.fakes()[0]["id"])["state"] == "SUCCEEDED"  # on a new connection


def test_an_order_to_a_lost_daemon_is_an_error_and_not_given_twice(at: Home) -> None:
    with at.client() as found:
        os.kill(at.born()[0], signal.SIGKILL)
        until(lambda: not alive(at.born()[0]))
        with pytest.raises(DeployError) as told:
            found.call("begin", line=LINE)
        assert told.value.code == "E_DAEMON"
        assert at.fakes() == []


def test_errors_arrive_as_the_daemon_says_them(at: Home) -> None:
    with at.client() as found, pytest.raises(DeployError) as told:
        found.call("begin", line="prod --action deploy --versoin v1.0.0")
    assert told.value.code == "E_FLAG_UNKNOWN"
    assert "--version" in told.value.try_


def test_stopping_waits_until_it_is_gone(at: Home) -> None:
    assert not client.stop(at.environ)
    assert Client.running(at.environ) is None
    at.client().close()
    asked = Client.running(at.environ)
    assert asked is not None
    assert asked.call("daemon.status")["started_by"].startswith("cli in ")
    asked.close()
    assert client.stop(at.environ)
    assert at.living() == []
    assert at.born() != []


def test_stopping_is_refused_while_runs_are_open(at: Home) -> None:
    at.script = FOR_EVER
    with at.client() as found:
        found.call("begin", line=LINE)
    with pytest.raises(DeployError) as told:
        client.stop(at.environ)
    assert told.value.code == "E_DAEMON_BUSY"
    assert client.stop(at.environ, force=True)


def test_a_daemon_that_is_just_brought_back_is_stopped_too(at: Home) -> None:
    at.script = FOR_EVER
    with at.client() as found:
        found.call("begin", line=LINE)
        until(lambda: os.path.exists(at.paths.open), "the run is marked open")
    os.kill(at.born()[0], signal.SIGKILL)
    until(lambda: at.born()[0] not in at.living(), "it is dead")
    assert client.stop(at.environ, force=True)
    assert at.living() == []


def test_who_follows_a_run_does_not_bring_back_a_daemon_that_was_stopped_by_hand(at: Home) -> None:
    at.script = FOR_EVER
    with at.client() as follower:
        run = follower.call("begin", line=LINE)["id"]
        events = follower.follow(run, tick=0.1)
        next(events)
        assert client.stop(at.environ, force=True)
        with pytest.raises(DeployError) as told:  # a daemon that came back would tell of the run without end
            list(itertools.islice(events, 100))
        assert told.value.code == "E_DAEMON_STOPPED"
        with pytest.raises(DeployError) as told:
            follower.call("view", run=run)
        assert told.value.code == "E_DAEMON_STOPPED"
    assert len(at.born()) == 1
    assert at.living() == []


# --- the pump as a process


def test_fifty_megabytes_both_ways_through_a_real_shim(at: Home) -> None:
    at.paths.prepare()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(at.paths.socket)
    listening.listen()
    chat = at.shim()
    echo, _ = listening.accept()
    echo.recv(65_536)
    echo.sendall(Ack(True, VERSION, 1).line())
    block, total = b'"' + b"x" * 99_997 + b'"\n', 50_000_000
    count = total // len(block)

    def mirror() -> None:
        while piece := echo.recv(1 << 20):
            echo.sendall(piece)

    def push() -> None:
        assert chat.stdin is not None
        for _ in range(count):
            chat.stdin.write(block)
        chat.stdin.flush()

    workers = [threading.Thread(target=mirror, daemon=True), threading.Thread(target=push)]
    for worker in workers:
        worker.start()
    assert chat.stdout is not None
    for _ in range(count):
        assert chat.stdout.read(len(block)) == block
    workers[1].join()
    assert chat.stdin is not None
    chat.stdin.close()
    assert left(chat) == (0, b"")
    echo.close()
    listening.close()
    os.unlink(at.paths.socket)


# --- the SDK's own client


@pytest.mark.parametrize(("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
async def test_both_eras_reach_the_daemon(at: Home, mode: str, version: str) -> None:
    started = StdioServerParameters(command=SHIM[0], args=list(SHIM[1:]), env=at.environ)
    async with McpClient(started, mode=mode) as found:
        assert found.protocol_version == version
        told = await found.call_tool("soc_deploy", {"instruction": LINE})
        assert told.structured_content["state"] == "succeeded"
        report = await found.read_resource(f"deployment://{told.structured_content['run_id']}/report")
        assert "Deployment Report" in report.contents[0].text
    assert at.fakes()[0]["client"].startswith("mcp")
    assert len(at.born()) == 1


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_in_process_it_serves_without_a_daemon_and_says_so(at: Home, mode: str, tmp_path: Path) -> None:
    with open(tmp_path / "stderr", "w+") as stderr:
        from mcp.client.stdio import stdio_client

        started = StdioServerParameters(command=SHIM[0], args=[*SHIM[1:], "--in-process"], env=at.environ)
        async with McpClient(stdio_client(started, errlog=stderr), mode=mode) as found:
            told = await found.call_tool("soc_deploy", {"instruction": LINE})
            assert told.structured_content["state"] == "succeeded"
        stderr.seek(0)
        assert "runs pause when this client closes" in stderr.readline()
    assert at.born() == []


def test_in_process_it_does_not_serve_beside_a_daemon(at: Home) -> None:
    at.client().close()
    code, said = left(at.shim("--in-process"))
    assert code == 1
    assert b"Another daemon serves this state home" in said
