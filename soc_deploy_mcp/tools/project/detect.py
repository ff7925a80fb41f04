"""Looking at a repository: how it is started, asked for health and tested, and which file says so.

By reading files only: nothing of the project is executed, and what is not found stays open.
"""

import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soc_deploy_mcp.core.config.words import reserved
from soc_deploy_mcp.tools.project import others
from soc_deploy_mcp.tools.project.files import Files
from soc_deploy_mcp.tools.project.guess import Argv, Guess, Served, Suite
from soc_deploy_mcp.tools.project.node import Node
from soc_deploy_mcp.tools.project.others import Go
from soc_deploy_mcp.tools.project.python import Python

_HEALTH: Final = (
    *("/healthz", "/health", "/healthcheck", "/health-check", "/readyz", "/ready", "/livez", "/live", "/_health"),
    *("/api/healthz", "/api/health", "/status", "/ping", "/up"),
)
_NAME_LIMIT: Final = 40  # characters of a service's name
_SUFFIXES: Final = (".py", ".js", ".mjs", ".cjs", ".ts", ".go")


@dataclass(frozen=True, slots=True)
class Detected:
    """What was guessed of a repository. `None`: nothing says it."""

    service: Guess[str]
    serve: Guess[Served] | None
    prepare: tuple[Argv, ...]
    health: Guess[str]
    suite: Suite | None
    repository: bool = True  # it lies in a git repository


def programs(environ: Mapping[str, str]) -> frozenset[str]:
    """The programs of this machine that make a difference to what is written."""
    return frozenset(name for name in ("uv", "pytest") if shutil.which(name, path=environ.get("PATH", "")))


def detect(root: Path, tools: Collection[str]) -> Detected:
    """Look at a project. `tools` as `programs` gives them."""
    files = Files(root)
    python, node, go = Python(files, tools), Node(files), Go(files)
    serve, prepare = _serve(files, python, node, go)
    return Detected(
        _service(root, python, node, go),
        serve,
        prepare,
        _health(files),
        find_suite(root, tools),
        repository=any((folder / ".git").exists() for folder in (root, *root.resolve().parents)),
    )


def find_suite(root: Path, tools: Collection[str]) -> Suite | None:
    """The project's own tests: npm's test script, go test, pytest or unittest, cargo test, make test."""
    files = Files(root)
    suite = Node(files).suite() or Go(files).suite() or Python(files, tools).suite()
    return suite or others.cargo_suite(files) or others.makefile_suite(files)


def _serve(files: Files, python: Python, node: Node, go: Go) -> tuple[Guess[Served] | None, tuple[Argv, ...]]:
    """What the project says outright (Procfile), then its source, then what its image would start."""
    venv = bool(python.requirements)
    prepare = python.prepare() if python.found else node.prepare() if node.found else go.prepare()
    if found := others.procfile(files, venv):
        return found, prepare
    if python.found and (found := python.serve()):
        return found, python.prepare()
    if node.found and (found := node.serve()):
        return found, node.prepare()
    if go.found and (found := go.serve()):
        return found, go.prepare()
    return others.dockerfile(files, venv), prepare


def _service(root: Path, python: Python, node: Node, go: Go) -> Guess[str]:
    guess = python.name() or node.name() or go.name() or Guess(root.resolve().name, "", "the directory's name")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", guess.value).strip("-_").lower()
    if not name or not name[0].isalpha():
        name = f"app-{name}".rstrip("-")
    name = f"{name}-app" if reserved(name) else name[:_NAME_LIMIT].rstrip("-_")
    return Guess(name, guess.source, guess.why)


def _health(files: Files) -> Guess[str]:
    """The first route that looks like a health check, by how usual its name is."""
    found: dict[str, str] = {}
    for path, name in _routes(files):
        found.setdefault(path, name)
    for path in _HEALTH:
        if path in found:
            return Guess(path, found[path])
    return Guess("/", "", "no health route was found")


def _routes(files: Files) -> Iterator[tuple[str, str]]:
    checked = re.search(r"HEALTHCHECK.*?https?://[^/\s\"']+(/[\w/-]*)", files.text("Dockerfile"), re.DOTALL)
    if checked:
        yield checked[1], "Dockerfile"
    paths = "|".join(re.escape(path) for path in sorted(_HEALTH, key=len, reverse=True))
    expression = re.compile(rf"[\"'`](?:GET )?({paths})/?[\"'`]")
    for name in files.sources:
        if name.endswith(_SUFFIXES):
            for match in expression.finditer(files.text(name)):
                yield match[1], name
