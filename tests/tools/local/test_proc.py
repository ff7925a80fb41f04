"""Processes and sockets as /proc shows them."""

import os
import socket
import subprocess
import sys

import pytest

from soc_deploy_mcp.tools.local import ports, proc
from soc_deploy_mcp.tools.local.proc import Stat
from tests.support.processes import wait_for

LINE = (
    "4711 (a (b) c)) S 1 4700 4699 0 -1 4194560 1 2 3 4 17 5 6 7 20 0 1 0 987654 1000 50 18446744073709551615 "
    "1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0"
)
TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:5208 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1111 1 0 100 0 0 10 0
   1: 0100007F:5208 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2222 1 0 20 4 30 10 -1
   2: 00000000:5208 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3333 1 0 100 0 0 10 0
   3: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4444 1 0 100 0 0 10 0
"""


def test_fields_are_counted_behind_the_last_bracket_of_the_name() -> None:
    assert proc.parse_stat(LINE) == Stat(pid=4711, state="S", session=4699, ticks=22, start=987654)


@pytest.mark.parametrize(
    ("seen", "boot", "alive"),
    [
        (Stat(7, "S", 7, 0, 50), "b", True),
        (Stat(7, "S", 7, 0, 51), "b", False),  # the number was given to another process
        (Stat(7, "Z", 7, 0, 50), "b", False),  # ended, nobody reaped it
        (Stat(7, "S", 7, 0, 50), "a", False),  # recorded before the machine started again
        (None, "b", False),
    ],
)
def test_a_process_is_its_number_its_start_and_its_boot(seen: Stat | None, boot: str, alive: bool) -> None:
    assert proc.same_process(7, 50, boot, seen, "b") is alive


def test_a_process_that_ended_unreaped_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        wait_for(lambda: (seen := proc.stat(process.pid)) is not None and seen.state == "Z")
        os.kill(process.pid, 0)  # proves nothing: it raises nothing
        seen = proc.stat(process.pid)
        assert seen is not None
        assert not proc.same_process(seen.pid, seen.start, "b", seen, "b")


def test_listening_sockets_of_a_port_are_found_on_every_address() -> None:
    assert proc.parse_listening(TABLE, 21000) == {"1111", "3333"}
    assert proc.parse_listening(TABLE, 21001) == set()


def test_the_owner_of_a_port_is_named() -> None:
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        mine.listen()
        port = mine.getsockname()[1]
        owner = proc.owner(port)
        assert owner is not None
        assert owner.pid == os.getpid()
        assert proc.owned_by(proc.listening(port), [os.getpid()])
        assert not proc.owned_by(proc.listening(port), [1])
        assert proc.owner(port, [os.getsid(0)]) is None
        assert not ports.bindable(port)
    assert proc.owner(port) is None


def test_a_session_outlives_its_leader() -> None:
    code = "import os, time; os.fork() or (time.sleep(600))"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    wait_for(lambda: process.poll() is not None)
    (worker,) = proc.sessions([process.pid])[process.pid]
    assert worker.pid != process.pid
    os.kill(worker.pid, 9)


def test_memory_of_a_process_is_known_and_of_none_is_not_zero() -> None:
    mine = proc.pss_bytes(os.getpid())
    assert mine is not None
    assert mine > 1_000_000
    assert proc.pss_bytes(2**22 + 1) is None
