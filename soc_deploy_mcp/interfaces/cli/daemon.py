"""The daemon by hand: start, stop, status."""

from __future__ import annotations

from collections.abc import Sequence

from soc_deploy_mcp.interfaces.cli.arguments import Arguments
from soc_deploy_mcp.interfaces.cli.options import Options
from soc_deploy_mcp.interfaces.cli.output import show_json


def run(words: Sequence[str], options: Options) -> int:
    from soc_deploy_mcp.interfaces.daemon.client import Client

    arguments = Arguments("daemon", "daemon start|stop|status [--force]")
    arguments.add_argument("verb", choices=("start", "stop", "status"))
    arguments.add_argument("--force", action="store_true")
    asked = arguments.read(words)
    if asked.verb == "start":
        with Client.open() as client:
            return _shown(client.call("daemon.status"), options)
    running = Client.running()
    if running is None:
        print("no daemon runs")
        return 1 if asked.verb == "status" else 0
    with running as client:
        if asked.verb == "status":
            return _shown(client.call("daemon.status"), options)
        stopped = client.call("daemon.stop", force=asked.force)
        open_ = stopped["open_runs"]
        print(f"stopped (pid {stopped['pid']})" + (f"; {open_} run(s) resume at the next start" if open_ else ""))
    return 0


def _shown(status: dict[str, object], options: Options) -> int:
    if options.json:
        show_json(status)
    else:
        for name, value in status.items():
            print(f"{name:<12} {value}")
    return 0
