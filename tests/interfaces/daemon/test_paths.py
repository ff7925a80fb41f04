"""Where daemon and clients meet."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.interfaces.daemon.paths import LONGEST, Paths, home_of


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sd-", dir="/tmp") as name:
        yield Path(name)


def test_the_home_is_the_chosen_one_else_below_the_state_directory() -> None:
    assert home_of({"SOC_DEPLOY_HOME": "/a/b"}) == "/a/b"
    assert home_of({"XDG_STATE_HOME": "/s"}) == "/s/soc-deploy"
    assert home_of({}) == os.path.expanduser("~/.local/state/soc-deploy")


def test_everything_lies_in_the_socket_directory(root: Path) -> None:
    paths = Paths.of(str(root))
    assert paths.socket == f"{root}/run/soc-deploy.sock"
    assert {os.path.dirname(path) for path in paths[2:]} == {f"{root}/run"}


def test_a_long_home_moves_the_socket_to_a_short_private_place(root: Path) -> None:
    long = Paths.of(f"{root}/{'x' * 120}")
    assert len(os.fsencode(long.socket)) <= LONGEST
    assert long.socket.startswith((f"/run/user/{os.getuid()}/", f"/tmp/soc-deploy-{os.getuid()}/"))
    assert long.socket != Paths.of(f"{root}/{'x' * 121}").socket
    assert long.owner.startswith(f"{root}/")


def test_the_length_is_counted_in_bytes() -> None:
    assert not Paths.of("/tmp/" + "ü" * 45).socket.startswith("/tmp/ü")


def test_prepare_makes_private_directories_and_can_be_repeated(root: Path) -> None:
    paths = Paths.of(f"{root}/home")
    paths.prepare()
    paths.prepare()
    modes = {stat.S_IMODE(os.stat(path).st_mode) for path in (paths.home, paths.run, paths.supervisor)}
    assert modes == {0o700}


def test_a_home_that_cannot_be_made_is_named(root: Path) -> None:
    (root / "file").write_text("")
    with pytest.raises(DeployError) as told:
        Paths.of(f"{root}/file/home").prepare()
    assert told.value.code == "E_HOME_UNFIT"
    assert f"{root}/file/home" in told.value.what
    assert "SOC_DEPLOY_HOME" in told.value.try_


def test_a_directory_that_others_can_enter_is_refused(root: Path) -> None:
    os.mkdir(f"{root}/run", 0o700)
    os.chmod(f"{root}/run", 0o755)
    with pytest.raises(DeployError, match="Other users") as told:
        Paths.of(str(root)).prepare()
    assert told.value.code == "E_HOME_UNFIT"
    assert told.value.try_ == f"chmod 700 {root}/run"


def test_a_link_in_place_of_the_directory_is_refused(root: Path) -> None:
    os.mkdir(f"{root}/elsewhere", 0o700)
    os.symlink(f"{root}/elsewhere", f"{root}/run")
    with pytest.raises(DeployError) as told:
        Paths.of(str(root)).prepare()
    assert told.value.code == "E_HOME_UNFIT"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(root: Path) -> None:
    os.mkdir(f"{root}/run", 0o700)
    os.chown(f"{root}/run", 65534, 65534)
    with pytest.raises(DeployError, match="another user"):
        Paths.of(str(root)).prepare()
