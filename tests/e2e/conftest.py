"""Whole-product tests: the command line as a real process, a real daemon, a real Envoy, real requests."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.fixtures import every_version, home, versions
from tests.support.product import LENIENT, Product, product

__all__ = ["every_version", "home", "versions"]

Make = Callable[..., Product]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def make(home: Path, versions: Path) -> Iterator[Make]:
    """A product on this test's own repository and home, with these settings on top of the quick ones."""
    with ExitStack() as stack:

        def made(*changes: Mapping[str, Any]) -> Product:
            return stack.enter_context(product(versions, home, {}, *changes))

        yield made


@pytest.fixture
def shop(make: Make) -> Product:
    """v1.0.0 serves; the judge is lenient, because the test is about something else."""
    made = make(LENIENT)
    made.first()
    return made
