"""The builders of the e2e tests: a test that relies on them must be able to fail."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.home import free_port, state_home
from tests.support.processes import assert_nothing_left, running_below

SLEEP = [sys.executable, "-c", "import sys, time; print('up', flush=True); time.sleep(600)"]


def started(home: Path, how: str) -> subprocess.Popen[bytes]:
    """A process that knows `home` in one way only."""
    words = [*SLEEP, str(home)] if how == "argument" else SLEEP
    environment = {"SOC_DEPLOY_HOME": str(home)} if how == "environment" else {}
    folder = home if how == "folder" else "/"
    process = subprocess.Popen(words, env=environment, cwd=folder, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout
    assert process.stdout.read(2) == b"up"
    process.stdout.close()
    return process


@pytest.mark.parametrize("how", ["argument", "environment", "folder"])
def test_a_process_that_is_left_fails_the_test_and_is_ended(how: str, tmp_path: Path) -> None:
    process = started(tmp_path, how)
    assert running_below(tmp_path).keys() == {process.pid}
    with pytest.raises(AssertionError, match=str(process.pid)):
        assert_nothing_left(tmp_path, within_s=0.3)
    assert process.wait(30) < 0


def test_a_zombie_and_a_stranger_are_not_left(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    stranger, zombie = started(tmp_path / "other", "folder"), started(tmp_path / "one", "folder")
    zombie.kill()
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has asked for its exit code
    assert_nothing_left(tmp_path / "one", within_s=0)
    stranger.kill()
    assert (stranger.wait(30), zombie.wait(30)) == (-9, -9)


def test_a_test_that_fails_leaves_nothing_behind_either() -> None:
    block = state_home()
    home = block.__enter__()
    process = started(home, "folder")
    assert not block.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert process.wait(30) == -9
    assert not home.exists()


def test_a_home_is_private_empty_and_short(home: Path) -> None:
    assert home.stat().st_mode & 0o777 == 0o700
    assert not any(home.iterdir())
    assert len(str(home)) <= 60
    assert os.environ["SOC_DEPLOY_HOME"] == str(home)


def test_ports_are_free_and_not_given_twice() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert not any(20000 <= port <= 29999 for port in ports)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", ports[0]))
