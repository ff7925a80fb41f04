"""One migration: its argv, run in the directory of the release that declares it.

There is no retry and no way back here: a migration that failed half way is for a person to look at. One that outlived
the process that started it holds the lock of its target: the next start waits for its end.
"""

import asyncio
import fcntl
import hashlib
import os
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
STILL_RUNS: Final = 75  # EX_TEMPFAIL of sysexits.h
_LOOK_S: Final = 0.1

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
    migration: Migration, *, release: Path, env: Mapping[str, str], timeout: float, redactor: Redactor, lock: Path
) -> Ran:
    """Run it once. `env` is the whole environment, secrets included (known to the redactor); `timeout` in seconds, to
    wait for an earlier start and again to run. `lock` is a file, held as long as any process of it lives."""
    held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not await _locked(held, timeout):
            return Ran(STILL_RUNS, 0.0, f"an earlier start of a migration still runs after {timeout:g} s")
        done = await process.run(migration.run, cwd=release, env=env, timeout=timeout, redactor=redactor, keeps=(held,))
    except process.NotStarted as error:
        return Ran(NOT_STARTED, 0.0, redactor.text(str(error)))
    finally:
        os.close(held)
    return Ran(done.code, done.seconds, done.last_lines(OUTPUT_LINES, OUTPUT_LIMIT), done.timed_out)


async def _locked(held: int, seconds: float) -> bool:
    end = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() >= end:
                return False
            await asyncio.sleep(_LOOK_S)
        else:
            return True


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
