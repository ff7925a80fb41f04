from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.programs import PROGRAMS, Program
from tests.clients.scene import Scene, scene
from tests.support.fixtures import every_version, versions

__all__ = ["every_version", "versions"]


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.name)
def program(request: pytest.FixtureRequest) -> Program:
    found: Program = request.param
    if why := found.missing():
        pytest.skip(why)
    return found


@pytest.fixture
def other(program: Program) -> Program:
    """The client that `program` is not."""
    (found,) = (each for each in PROGRAMS if each is not program)
    if why := found.missing():
        pytest.skip(why)
    return found


@pytest.fixture
def trusted(program: Program, versions: Path) -> Iterator[Scene]:
    """Nobody is there to say yes to a tool, so the client was set up with --trust."""
    with scene(program, versions, "--trust") as made:
        yield made
