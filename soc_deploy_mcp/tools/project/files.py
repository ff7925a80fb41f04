"""A repository as text to look at: small files, capped, read only. Guesses are made from this and from nothing else."""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

MAX_BYTES: Final = 262_144  # of one file
MAX_SOURCES: Final = 400  # files that are searched
MAX_DEPTH: Final = 4

_LEFT_OUT = frozenset(
    {
        *("node_modules", "venv", "env", "__pycache__", "dist", "build", "target", "vendor", "site-packages"),
        *("test", "tests", "testing", "testdata", "docs", "doc", "examples", "example", "fixtures", "migrations"),
    }
)


class Files:
    """The files below a directory. Hidden directories, dependencies, build output and tests are not searched."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def has(self, name: str) -> bool:
        return (self.root / name).is_file()

    def first(self, *names: str) -> str | None:
        return next((name for name in names if self.has(name)), None)

    def text(self, name: str) -> str:
        """The beginning of a file; empty when it is not there or no text."""
        try:
            with (self.root / name).open("rb") as file:
                return file.read(MAX_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""

    def json(self, name: str) -> dict[str, Any]:
        try:
            data = json.loads(self.text(name) or "{}")
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}

    def toml(self, name: str) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text(name))
        except tomllib.TOMLDecodeError:
            return {}

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Source files, those near the top first."""
        found = sorted(self._walk(), key=lambda name: (name.count("/"), name))
        return tuple(found[:MAX_SOURCES])

    def search(self, pattern: str, *suffixes: str) -> Iterator[tuple[str, re.Match[str]]]:
        """The first match in each source file with one of the suffixes."""
        expression = re.compile(pattern, re.MULTILINE)
        for name in self.sources:
            if name.endswith(suffixes) and (match := expression.search(self.text(name))):
                yield name, match

    def _walk(self) -> Iterator[str]:
        for folder, folders, names in os.walk(self.root):
            inner = Path(folder).relative_to(self.root)
            deep = len(inner.parts) >= MAX_DEPTH
            folders[:] = [] if deep else sorted(d for d in folders if d not in _LEFT_OUT and not d.startswith("."))
            for name in names:
                if name.endswith((".py", ".js", ".mjs", ".cjs", ".ts", ".go")):
                    yield str(inner / name)


def table(data: Any, *keys: str) -> dict[str, Any]:
    """A nested mapping of a parsed file, empty when anything on the way is missing or no mapping."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def words(data: Any) -> tuple[str, ...]:
    """The texts of a list, whatever else it holds."""
    return tuple(item for item in data if isinstance(item, str)) if isinstance(data, list) else ()
