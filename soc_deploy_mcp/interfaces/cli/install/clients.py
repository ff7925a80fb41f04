"""The clients we write for: one row each. What they read was tried with OpenCode 1.18 and Claude Code 2.1."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.interfaces.cli.install.changes import Form

Scope = Literal["project", "user"]

READING = ("status", "report", "releases")  # the tools that change nothing
WRITING = ("soc_deploy", "deploy", "rollback", "control")


@dataclass(frozen=True)
class Place:
    """Paths below the project's root or the home directory; absolute ones stand for themselves."""

    configs: tuple[str, ...]  # that the client reads; the first is written when there is none
    command: str
    shadows: tuple[str, ...] = ()  # files that would define the same command once more


@dataclass(frozen=True)
class Client:
    name: str
    title: str
    form: Form
    then: tuple[str, ...]  # what a person does next
    ignore: tuple[str, ...] = ()  # what the client itself leaves in a project, for .gitignore


OPENCODE = Client(
    name="opencode",
    title="OpenCode",
    form="jsonc",
    then=(
        "Scripts and CI call soc-deploy itself: OpenCode runs whatever stands in !`...` behind a typed command.",
        "Restart OpenCode: it reads its files at the start. Then type /soc-deploy production --action deploy ...",
    ),
    ignore=tuple(
        f".opencode/{name}" for name in (".gitignore", "node_modules/", "package.json", "package-lock.json", "bun.lock")
    ),
)
CLAUDE = Client(
    name="claude",
    title="Claude Code",
    form="json",
    then=("Start Claude Code again. Then type /soc-deploy production --action deploy ...",),
)
CLIENTS: dict[str, Client] = {client.name: client for client in (OPENCODE, CLAUDE)}


def named(name: str) -> Client:
    """DeployError E_CLIENT with the list."""
    if name in CLIENTS:
        return CLIENTS[name]
    known = ", ".join(CLIENTS)
    raise DeployError("E_CLIENT", f"{name!r} is no client of this version.", f"It writes files for {known}.", _TRY)


def place(client: Client, scope: Scope, environ: Mapping[str, str]) -> Place:
    """Where this client looks. In user scope the variables count that the clients themselves heed."""
    if client is OPENCODE:
        return _opencode(scope, environ)
    if scope == "project":
        return Place((".mcp.json",), ".claude/commands/soc-deploy.md")
    if folder := environ.get("CLAUDE_CONFIG_DIR"):
        return Place((os.path.join(folder, ".claude.json"),), os.path.join(folder, "commands/soc-deploy.md"))
    return Place((".claude.json",), ".claude/commands/soc-deploy.md")


def _opencode(scope: Scope, environ: Mapping[str, str]) -> Place:
    root, folder = "", ".opencode"
    if scope == "user":
        root = folder = os.path.join(environ.get("XDG_CONFIG_HOME") or ".config", "opencode")
    return Place(
        configs=tuple(os.path.join(root, name) for name in ("opencode.json", "opencode.jsonc")),
        command=os.path.join(folder, "commands/soc-deploy.md"),
        shadows=(os.path.join(folder, "command/soc-deploy.md"),),
    )


_TRY = "\n".join(f"soc-deploy install --client {name}" for name in CLIENTS)
