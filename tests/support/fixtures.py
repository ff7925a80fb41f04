"""The same builders as pytest fixtures: import the ones you use into a conftest.py."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from soc_deploy_mcp.interfaces.cli.demo import repository
from tests.support.home import state_home


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state home of this test's own, in SOC_DEPLOY_HOME. The test fails when something still runs below it."""
    with state_home() as folder:
        monkeypatch.setenv("SOC_DEPLOY_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def every_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with all versions of the example shop, good and bad, tagged. To be read, not changed."""
    return repository.make_repository(tmp_path_factory.mktemp("shop") / "shop", tuple(repository.catalogue()))


@pytest.fixture
def versions(every_version: Path, tmp_path: Path) -> Path:
    """A copy of it for this test alone. It has no soc-deploy.yaml: `tests.support.shop.write_settings`, or init."""
    return shutil.copytree(every_version, tmp_path / "shop")
