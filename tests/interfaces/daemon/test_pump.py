"""Lines through the shim: whole, in order, without deadlock."""

import json
import os
import select
import socket
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.interfaces.daemon import pump
from soc_deploy_mcp.interfaces.daemon.pump import Lines, Pump


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=20), st.randoms())
def test_lines_come_out_as_they_went_in_however_they_are_cut(lines: list[bytes], random: Any) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cutter, found = Lines(), []
    while stream:
        size = random.randint(1, 12)
        found += cutter.feed(stream[:size])
        stream = stream[size:]
    assert found == [line + b"\n" for line in lines]
    assert cutter.rest() == b""


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(1, 7))
def test_only_lines_that_are_too_long_are_skipped(sizes: list[int], cut: int) -> None:
    stream = b"".join(b"x" * size + b"\n" for size in sizes)
    cutter, found = Lines(longest=10), []
    for start in range(0, len(stream), cut):
        found += cutter.feed(stream[start : start + cut])
    assert [len(line) - 1 for line in found] == [size for size in sizes if size <= 10]
    assert cutter.skipped == sum(size > 10 for size in sizes)


PATIENCE_S = 30.0


class Rig:
    """A pump in a thread, the client's pipes on one side and the daemon's socket on the other."""

    def __init__(self) -> None:
        stdin, self.to_shim = os.pipe()
        self.from_shim, stdout = os.pipe()
        self.daemons: list[socket.socket] = []
        self.ready = threading.Semaphore(0)
        self.fds = [stdin, stdout]
        self.pump = Pump(self.connect(), self.connect, stdin, stdout)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        self.pump.run()
        for fd in self.fds:
            os.close(fd)

    def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.settimeout(PATIENCE_S)
        self.daemons.append(theirs)
        self.ready.release()
        return ours

    def daemon(self) -> socket.socket:
        assert self.ready.acquire(timeout=PATIENCE_S)
        return self.daemons[-1]

    def say(self, data: bytes) -> None:
        os.write(self.to_shim, data)

    def hear(self) -> bytes:
        data = b""
        while not data.endswith(b"\n"):
            assert select.select([self.from_shim], [], [], PATIENCE_S)[0], "the client hears nothing"
            piece = os.read(self.from_shim, 1)
            if not piece:
                return data
            data += piece
        return data

    def close(self) -> None:
        os.close(self.to_shim)
        self.daemons[-1].close()
        self.thread.join(PATIENCE_S)
        os.close(self.from_shim)


def line(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


def recv_line(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        data += sock.recv(1)
    return data


def test_both_sides_full_at_once_do_not_wait_for_each_other() -> None:
    rig = Rig()
    daemon = rig.daemon()
    total, block = 6_000_000, b"x" * 9_999 + b"\n"

    def push_in() -> None:
        for _ in range(total // len(block)):
            os.write(rig.to_shim, block)

    def push_out() -> None:
        for _ in range(total // len(block)):
            daemon.sendall(block)

    writers = [threading.Thread(target=push_in, daemon=True), threading.Thread(target=push_out, daemon=True)]
    for writer in writers:
        writer.start()
    writers[0].join(1.0)
    assert all(writer.is_alive() for writer in writers)  # nobody reads: both sides are full, and bounded
    seen = 0
    reader = threading.Thread(target=lambda: _read_all(rig.from_shim, total), daemon=True)
    reader.start()
    while seen < total:
        seen += len(daemon.recv(1 << 16))
    reader.join(PATIENCE_S)
    assert not reader.is_alive()
    assert seen == total
    rig.close()


def _read_all(fd: int, total: int) -> None:
    seen = 0
    while seen < total:
        seen += len(os.read(fd, 1 << 16))


def test_a_lost_daemon_is_replaced_when_the_client_says_something() -> None:
    rig = Rig()
    first = rig.daemon()
    rig.say(line(id=0, method="initialize"))
    recv_line(first)
    first.sendall(line(id=0, result={}))
    assert json.loads(rig.hear()) == {"id": 0, "result": {}}
    rig.say(line(method="notifications/initialized") + line(id=1, method="tools/call"))
    recv_line(first), recv_line(first)
    first.sendall(b'{"id":1,"res')  # half an answer never reaches the client
    first.close()
    assert json.loads(rig.hear())["error"]["message"].startswith("the daemon was restarted")
    assert len(rig.daemons) == 1  # nothing to say, nobody to start
    rig.say(line(id=2, method="tools/list"))
    second = rig.daemon()
    heard = [json.loads(recv_line(second)) for _ in range(3)]
    assert [one.get("method") for one in heard] == ["initialize", "notifications/initialized", "tools/list"]
    second.sendall(line(id=0, result={}) + line(id=2, result={"tools": []}))
    assert json.loads(rig.hear()) == {"id": 2, "result": {"tools": []}}
    rig.close()


def test_the_end_of_the_client_reaches_the_daemon_after_its_last_line() -> None:
    rig = Rig()
    daemon = rig.daemon()
    rig.say(b'{"id":1,"method":"x"}')  # no newline
    os.close(rig.to_shim)
    assert recv_line(daemon) == b'{"id":1,"method":"x"}\n'
    assert daemon.recv(10) == b""
    daemon.sendall(line(id=1, result="late"))
    assert json.loads(rig.hear())["result"] == "late"
    daemon.close()
    rig.thread.join(PATIENCE_S)
    assert not rig.thread.is_alive()
    os.close(rig.from_shim)


def test_a_line_that_is_too_long_is_refused_and_the_session_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "LONGEST", 1000)
    rig = Rig()
    daemon = rig.daemon()
    rig.say(b'"' + b"y" * 3000 + b'"\n' + line(id=1, method="ping"))
    assert recv_line(daemon) == line(id=1, method="ping")
    refused = json.loads(rig.hear())
    assert refused["id"] is None
    assert "1000 bytes" in refused["error"]["message"]
    rig.close()


def test_bytes_that_are_no_json_pass_unharmed() -> None:
    rig = Rig()
    daemon = rig.daemon()
    for odd in (b"\xff\xfe{\n", b"[]\n", b'[{"id":1,"method":"a"}]\n', b"[" * 2000 + b"\n"):
        rig.say(odd)
        assert recv_line(daemon) == odd
        daemon.sendall(odd)
        assert rig.hear() == odd
    rig.close()
