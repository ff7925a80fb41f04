"""What a person should know after an install, and do next."""

from __future__ import annotations

import os

from soc_deploy_mcp.interfaces.cli.install.changes import Refused
from soc_deploy_mcp.interfaces.cli.install.clients import CLAUDE, Client, Place
from soc_deploy_mcp.interfaces.cli.install.launch import Launch
from soc_deploy_mcp.interfaces.cli.install.site import Site

_TRUST = (
    "--trust: {} no longer asks before soc_deploy, deploy, rollback and control. Where no approver is enrolled, "
    "--auto-approve in a line is then enough to change production: nobody else is asked."
)
_NO_TRUST = (
    "The model may look (status, report, releases); {} asks before anything else. Without somebody to answer, as in "
    "CI, use the command line: soc-deploy production --action deploy ..."
)
_DIALOG = (
    "Claude Code asks once whether to use the new MCP server soc-deploy: choose it there; Enter alone continues "
    "without it."
)
_QUIT = "Quit Claude Code before the next start: a running one may write its own copy of ~/.claude.json over this."


def after_install(site: Site, client: Client, place: Place, launch: Launch, trust: bool) -> list[str]:
    found = [launch.note] if launch.note else []
    found.append((_TRUST if trust else _NO_TRUST).format(client.title))
    found += [
        f"{path} defines /soc-deploy as well: remove one of the two." for path in place.shadows if _there(site, path)
    ]
    if client is CLAUDE:
        found.append(_DIALOG if site.scope == "project" else _QUIT)
    if site.scope == "project":
        found += _of_project(site, client)
    return [*found, *client.then]


def _of_project(site: Site, client: Client) -> list[str]:
    found = []
    if lines := [line for line in client.ignore if line not in _ignored(site)]:
        found.append(f"{client.title} leaves files of its own here; for .gitignore: {' '.join(lines)}")
    if not _there(site, "soc-deploy.yaml"):
        found.append("This project has no soc-deploy.yaml yet: soc-deploy init")
    return found


def _ignored(site: Site) -> list[str]:
    try:
        return (site.read(".gitignore") or b"").decode("utf-8", "replace").splitlines()
    except Refused:
        return []


def _there(site: Site, path: str) -> bool:
    return os.path.exists(os.path.join(site.base, path))
