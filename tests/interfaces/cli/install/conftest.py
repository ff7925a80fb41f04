from pathlib import Path

import pytest

from tests.interfaces.cli.install.sites import Sites


@pytest.fixture
def sites(tmp_path: Path) -> Sites:
    return Sites(tmp_path)
