"""One client's files from the decision to the disk: all of them, or none when one is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from soc_deploy_mcp.interfaces.cli.install import edit, ledger, source
from soc_deploy_mcp.interfaces.cli.install.carry import carry
from soc_deploy_mcp.interfaces.cli.install.changes import Change, Refused
from soc_deploy_mcp.interfaces.cli.install.clients import Client, Place, place
from soc_deploy_mcp.interfaces.cli.install.installing import installed
from soc_deploy_mcp.interfaces.cli.install.jsonc import Unreadable
from soc_deploy_mcp.interfaces.cli.install.launch import SCRIPT, Launch
from soc_deploy_mcp.interfaces.cli.install.ledger import Ledger
from soc_deploy_mcp.interfaces.cli.install.notes import after_install
from soc_deploy_mcp.interfaces.cli.install.page import NotPossible
from soc_deploy_mcp.interfaces.cli.install.removing import uninstalled
from soc_deploy_mcp.interfaces.cli.install.render import SERVER, render
from soc_deploy_mcp.interfaces.cli.install.site import Site
from soc_deploy_mcp.interfaces.cli.install.steps import Disk, Step, text_of
from soc_deploy_mcp.interfaces.cli.install.telling import Result

Decide = Callable[[Sequence[Change], Disk, Ledger], list[Step]]


class Wish(NamedTuple):
    """What was asked for, for every client alike."""

    launch: Launch
    trust: bool = False
    replacing: bool = False
    dry_run: bool = False


def install(site: Site, client: Client, wish: Wish) -> Result:
    where = place(client, site.scope, os.environ)

    def decide(changes: Sequence[Change], disk: Disk, known: Ledger) -> list[Step]:
        return installed(client.name, changes, disk, known, wish.replacing)

    result = _carried(site, client, where, wish, decide)
    if not result.refused:
        result.notes = after_install(site, client, where, wish.launch, wish.trust)
    return result


def uninstall(site: Site, client: Client, *, dry_run: bool = False) -> Result:
    def decide(changes: Sequence[Change], disk: Disk, known: Ledger) -> list[Step]:
        return uninstalled(client.name, changes, disk, known)

    everything = Wish(Launch((SCRIPT,)), trust=True, dry_run=dry_run)
    return _carried(site, client, place(client, site.scope, os.environ), everything, decide)


def is_there(site: Site, client: Client) -> bool:
    """Has anything of this client been installed here, by whomever?"""
    return bool(uninstall(site, client, dry_run=True).steps)


def _carried(site: Site, client: Client, where: Place, wish: Wish, decide: Decide) -> Result:
    steps: list[Step] = []
    try:
        known = ledger.read(site.read(site.ledger))
        config = _config(site, client, where)
        changes = render(client, config, where.command, source.load(), wish.launch.argv, wish.trust)
        steps = decide(changes, _disk(site, client, changes, known), known)
        result = Result(client, steps)
        if result.refused:
            result.steps = [step.skipped for step in steps]
            result.notes = [f"Nothing was changed for {client.title}."]
        elif not wish.dry_run:
            carry(site, client.name, steps, known)
        return result
    except Refused as error:
        return _interrupted(site, client, steps, error)


def _interrupted(site: Site, client: Client, steps: Sequence[Step], error: Refused) -> Result:
    """The files before the one that could not be written are done; the same command goes on from there."""
    path = error.path or site.ledger
    done = [step for step in steps if step.path != path]
    result = Result(client, [Step(path, "refused", why=str(error))])
    if done:
        result.notes = ["The files may be half done, each one is whole: the same command completes the work."]
    return result


def _config(site: Site, client: Client, where: Place) -> str:
    """Of the files that the client reads: the one with our entry, else the first that is there, else the first."""
    there = {path: data for path in where.configs if (data := site.read(path)) is not None}
    with_us = (path for path, data in there.items() if _has_entry(client, data))
    return next(with_us, next(iter(there), where.configs[0]))


def _has_entry(client: Client, data: bytes) -> bool:
    try:
        return edit.value_at(text_of(data), client.form, SERVER[client.name]) is not None
    except (Unreadable, NotPossible, Refused):
        return False


def _disk(site: Site, client: Client, changes: Sequence[Change], known: Ledger) -> dict[str, bytes | None]:
    paths = dict.fromkeys((*(change.path for change in changes), *known.paths(client.name)))
    backups = {name: site.read(site.backup(name)) for name in known.backups()}
    return backups | {path: site.read(path) for path in paths}
