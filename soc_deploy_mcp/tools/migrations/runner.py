"""One migration: its argv, run in the directory of the release that declares it.

There is no retry and no way back here: a migration that failed half way is for a person to look at.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.config.service import Migration
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.tools import process

OUTPUT_LINES: Final = 100
OUTPUT_LIMIT: Final = 16_384  # characters
NOT_STARTED: Final = 127  # the exit code a shell gives for a program that it cannot find

# Made on the machine by `prepare`, with its own paths inside: not what the project wrote.
_MADE_HERE = frozenset({".venv", "venv", "node_modules", "__pycache__", ".git"})


@dataclass(frozen=True, slots=True)
class Ran:
    """How a migration ended. `output` is redacted text from outside."""

    exit_code: int
    seconds: float
    output: str
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and not self.timed_out


async def run(
    migration: Migration, *, release: Path, env: Mapping[str, str], timeout: float, redactor: Redactor
) -> Ran:
    """Run it once. `env` is the whole environment, secrets included (known to the redactor); `timeout` in seconds."""
    try:
        done = await process.run(migration.run, cwd=release, env=env, timeout=timeout, redactor=redactor)
    except process.NotStarted as error:
        return Ran(NOT_STARTED, 0.0, redactor.text(str(error)))
    return Ran(done.code, done.seconds, done.last_lines(OUTPUT_LINES, OUTPUT_LIMIT), done.timed_out)


def checksum(migration: Migration, source: Path) -> str:
    """sha256 over the argv and the content of every file of the release that it names, 64 hex digits.

    `source` is the release's source. What `prepare` makes is left out, so the release directory gives the same.
    """
    named = {path: hashlib.sha256((source / path).read_bytes()).hexdigest() for path in _files(migration, source)}
    return digest([list(migration.run), named])


def _files(migration: Migration, source: Path) -> Iterator[str]:
    """Files named as a word, behind `=` (`--config=alembic.ini`) or inside a shell line (`sh -c 'psql -f a.sql'`)."""
    root = source.resolve()
    for word in migration.run:
        for part in re.split(r"[\s=,;:'\"<>|&()]+", word):
            if not part or part.startswith("/"):
                continue
            try:
                path = (root / part).resolve()
                inside = path.is_relative_to(root) and path.is_file()
            except (OSError, ValueError):  # too long for a name, or a NUL in it
                continue
            if inside and not _MADE_HERE.intersection(path.relative_to(root).parts):
                yield str(path.relative_to(root))
