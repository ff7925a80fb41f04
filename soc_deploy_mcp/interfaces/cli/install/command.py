"""`soc-deploy install` and `uninstall`: the files that make /soc-deploy work in a client."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from soc_deploy_mcp.interfaces.cli.arguments import Arguments
from soc_deploy_mcp.interfaces.cli.install import one_client
from soc_deploy_mcp.interfaces.cli.install.clients import CLIENTS, Client, named
from soc_deploy_mcp.interfaces.cli.install.launch import Here, launch
from soc_deploy_mcp.interfaces.cli.install.one_client import Wish
from soc_deploy_mcp.interfaces.cli.install.site import Site
from soc_deploy_mcp.interfaces.cli.install.telling import Result, show
from soc_deploy_mcp.interfaces.cli.options import Command, Options

_CLIENTS = "--client opencode|claude [--scope project|user] [--dry-run]"


def install(words: Sequence[str], options: Options) -> int:
    """Write or update client files. 0: done, or nothing to do. 1: something was refused, or --check found a
    difference."""
    arguments = _arguments("install", f"install {_CLIENTS} [--trust] [--replace] [--command PATH] [--check]")
    for flag in ("--trust", "--replace", "--check"):
        arguments.add_argument(flag, action="store_true")
    arguments.add_argument("--command", default="")
    asked = arguments.read(words)
    site = Site.of(asked.scope, os.getcwd(), os.environ)
    wish = Wish(launch(site.scope, _here(), asked.command), asked.trust, asked.replace, asked.dry_run)
    if asked.check:
        return _check(site, asked, wish, options)
    results = [one_client.install(site, client, wish) for client in _clients(asked, arguments)]
    return _told(site, results, asked, options)


def uninstall(words: Sequence[str], options: Options) -> int:
    """Take client files away again, and put back what was in their place."""
    arguments = _arguments("uninstall", f"uninstall {_CLIENTS}")
    asked = arguments.read(words)
    site = Site.of(asked.scope, os.getcwd(), os.environ)
    clients = _clients(asked, arguments)
    results = [one_client.uninstall(site, client, dry_run=asked.dry_run) for client in clients]
    return _told(site, results, asked, options)


def _arguments(name: str, usage: str) -> Arguments:
    arguments = Arguments(name, usage)
    arguments.add_argument("--client", action="append", default=[])
    arguments.add_argument("--scope", choices=("project", "user"), default="project")
    arguments.add_argument("--dry-run", action="store_true")
    return arguments


def _clients(asked: argparse.Namespace, arguments: Arguments) -> list[Client]:
    if not asked.client:
        arguments.error(f"--client is missing: {' or '.join(CLIENTS)}")
    return [named(name) for name in dict.fromkeys(asked.client)]


def _here() -> Here:
    environ = os.environ
    return Here(sys.argv[0], sys.executable, environ.get("PATH", ""), environ.get("VIRTUAL_ENV", ""))


def _check(site: Site, asked: argparse.Namespace, wish: Wish, options: Options) -> int:
    """Is what is installed what this version would write with these flags? Writes nothing."""
    named_ = [named(name) for name in dict.fromkeys(asked.client)]
    clients = named_ or [client for client in CLIENTS.values() if one_client.is_there(site, client)]
    results = [one_client.install(site, client, wish._replace(dry_run=True)) for client in clients]
    for result in results:
        result.notes = []
    show(site, results, as_json=options.json, dry_run=True)
    if not results and not options.json:
        print(f"No client files in {site.base}.")
    return 0 if results and all(result.current for result in results) else 1


def _told(site: Site, results: Sequence[Result], asked: argparse.Namespace, options: Options) -> int:
    show(site, results, as_json=options.json, dry_run=asked.dry_run)
    return 1 if any(result.refused for result in results) else 0


COMMANDS: dict[str, Command] = {"install": install, "uninstall": uninstall}
