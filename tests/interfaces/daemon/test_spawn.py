"""Starting the daemon: what it may know, and whom a client trusts."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.interfaces.daemon import owner, spawn
from soc_deploy_mcp.interfaces.daemon.owner import own
from soc_deploy_mcp.interfaces.daemon.paths import Paths
from soc_deploy_mcp.interfaces.daemon.spawn import connect, scrubbed


@pytest.fixture
def paths() -> Iterator[Paths]:
    with tempfile.TemporaryDirectory(prefix="sd-", dir="/tmp") as name:
        made = Paths.of(name)
        made.prepare()
        yield made


def test_keys_of_models_and_clouds_stay_with_the_client() -> None:
    kept = {"PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "XDG_STATE_HOME": "/s", "SOC_DEPLOY_HOME": "/d"}
    held = {"ANTHROPIC_API_KEY": "k", "AWS_SECRET_ACCESS_KEY": "k", "PYTHONPATH": "/x", "LD_PRELOAD": "y", "PATHX": ""}
    assert scrubbed(kept | held) == kept


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=5)))
def test_nothing_outside_the_list_passes(environ: dict[str, str]) -> None:
    for name in scrubbed(environ):
        assert name.startswith(("LC_", "XDG_", "SSL_CERT_", "SOC_DEPLOY_")) or name.lower() in (
            *("path", "home", "lang", "tz", "user"),
            *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
        )


def test_nobody_listening_is_none_also_with_a_stale_socket(paths: Paths) -> None:
    assert connect(paths) is None
    left = socket.socket(socket.AF_UNIX)
    left.bind(paths.socket)
    left.close()
    assert os.path.exists(paths.socket)
    assert connect(paths) is None


def test_a_listener_of_another_user_is_refused(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawn, "uid_of", lambda _: os.getuid() + 1)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(paths.socket)
        stranger.listen()
        with pytest.raises(DeployError, match="another user"):
            connect(paths)


def test_one_home_has_one_owner(paths: Paths) -> None:
    first = own(paths)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(paths.socket)
        listening.listen()
        with pytest.raises(DeployError, match="Another daemon"):
            own(paths)
    first.release()
    own(paths).release()


def test_an_owner_that_does_not_listen_gets_time_to_leave(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    leaving = own(paths)
    looks: list[int] = []

    def sleep(_: float) -> None:
        looks.append(1)
        if len(looks) == 3:
            leaving.release()

    monkeypatch.setattr(owner.time, "sleep", sleep)
    own(paths).release()
    assert len(looks) == 3


def test_a_network_file_system_is_refused(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "remote", lambda _: "nfs4")
    with pytest.raises(DeployError, match="network file system") as told:
        own(paths)
    assert told.value.code == "E_HOME_UNFIT"


def test_an_owner_knows_when_its_lock_was_taken_away(paths: Paths) -> None:
    held = own(paths)
    assert held.holds()
    os.unlink(paths.owner)
    assert not held.holds()
    Path(paths.owner).touch()
    assert not held.holds()
    held.release()
