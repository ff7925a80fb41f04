from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.local.scene import Scene, a_scene


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with a_scene(tmp_path) as found:
        yield found
