"""What was guessed of a project, each with the file that says so."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

Argv = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Guess(Generic[T]):
    """A value and the file it was guessed from; `why` is for the comment beside it."""

    value: T
    source: str  # relative path; "" when nothing was found and a default is meant
    why: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """How the service is started: an argv with `{port}`, or one that takes PORT."""

    argv: Argv
    reads_port_env: bool = False


@dataclass(frozen=True, slots=True)
class Suite:
    """How the project is tested, in a copy of a commit: first `prepare`, then `argv`."""

    argv: Argv
    source: str  # the file it was guessed from, or soc-deploy.yaml
    prepare: tuple[Argv, ...] = ()
