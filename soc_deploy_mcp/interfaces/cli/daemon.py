"""The daemon by hand: start, stop, status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from soc_deploy_mcp.interfaces.cli.arguments import Arguments
from soc_deploy_mcp.interfaces.cli.options import Options
from soc_deploy_mcp.interfaces.cli.output import show_json


def run(words: Sequence[str], options: Options) -> int:
    from soc_deploy_mcp.interfaces.daemon.client import Client, stop

    arguments = Arguments("daemon", "daemon start|stop|status [--force]")
    arguments.add_argument("verb", choices=("start", "stop", "status"))
    arguments.add_argument("--force", action="store_true")
    asked = arguments.read(words)
    if asked.verb == "start":
        with Client.open() as client:
            return _shown(client.call("daemon.status"), options)
    if asked.verb == "stop":
        return _stopped(stop(force=asked.force))
    running = Client.running()
    if running is None:
        print("no daemon runs; the next command that needs one starts it, or: soc-deploy daemon start")
        return 1
    with running as client:
        return _shown(client.call("daemon.status"), options)


def _stopped(stopped: dict[str, Any] | None) -> int:
    if stopped is None:
        print("no daemon runs")
        return 0
    left = stopped["open_runs"]
    print(f"stopped (pid {stopped['pid']})" + (f"; {left} run(s) resume at the next start" if left else ""))
    return 0


def _shown(status: dict[str, object], options: Options) -> int:
    if options.json:
        show_json(status)
    else:
        for name, value in status.items():
            print(f"{name:<12} {value}")
    return 0
