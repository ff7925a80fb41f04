"""Answers that the judge's bench has already found, so that it can be broken off, go on, and be run in parts.

An answer is kept for as long as the judge, its defaults, the simulation and the question are the same.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from bench._report import RESULTS
from soc_deploy_mcp.actions.deploy import judge
from soc_deploy_mcp.core.config.settings import HealthChecks, JudgeSettings
from tests.actions.judge import simulate

FILE = RESULTS / "judge-answers.json"


class Answers:
    def __init__(self, file: Path = FILE) -> None:
        self._file = file
        self._known = self._read()

    def get(self, name: str, fingerprint: str) -> dict[str, Any] | None:
        found = self._known.get(name)
        return found if found is not None and found["fingerprint"] == fingerprint else None

    def put(self, name: str, answer: dict[str, Any]) -> None:
        self._known = self._read() | {name: answer}  # another part of the bench may have found more
        self._file.parent.mkdir(parents=True, exist_ok=True)
        written = self._file.with_suffix(".new")
        written.write_text(json.dumps(self._known, indent=1, ensure_ascii=False) + "\n")
        written.replace(self._file)

    def _read(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}
        return known


def fingerprint(*question: object) -> str:
    """Of everything an answer follows from."""
    return _digest(*map(repr, question), _program())


@cache
def _program() -> str:
    """Read once: an edit while the bench runs does not change what is running."""
    return _digest(repr(JudgeSettings()), repr(HealthChecks()), *map(_said, _sources()))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _sources() -> list[Path]:
    assert judge.__file__
    assert simulate.__file__
    return [*sorted(Path(judge.__file__).parent.glob("*.py")), Path(simulate.__file__)]


def _said(source: Path) -> str:
    """A program without comments and docstrings: better words for the same rules cost no new run."""
    tree = ast.parse(source.read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return ast.dump(tree)
