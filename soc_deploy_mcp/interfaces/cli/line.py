"""A command line of the grammar: start the run, follow it, print its report, exit with what became of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from soc_deploy_mcp.interfaces.cli.link import Link, open_link
from soc_deploy_mcp.interfaces.cli.options import Options
from soc_deploy_mcp.interfaces.cli.output import hints, say, show_json

ROLLED_BACK = 3
NOT_OVER = 10


def run(words: Sequence[str], options: Options) -> int:
    link = open_link()
    try:
        view = link.call("begin", line=list(words))
        if view["undoes"]:
            say(f"{view['id']} still deploys {view['version']}: it goes back now")
        elif view["joined"]:
            say(f"{view['id']} does this already: following it")
        if options.detach:
            return _detached(view, options)
        ended = follow_to_end(link, view["id"], options)
        return 0 if view["undoes"] and ended == ROLLED_BACK else ended
    finally:
        link.close()


def _detached(view: dict[str, Any], options: Options) -> int:
    if options.json:
        show_json(view)
    else:
        print(view["id"])
        hints(view)
    return NOT_OVER


def follow_to_end(link: Link, run_id: str, options: Options) -> int:
    """Show the run until it is over or waits for somebody who is not here. The exit code says which."""
    try:
        view = _followed(link, run_id, options)
    except KeyboardInterrupt:
        say(f"\nStopped watching. The run goes on: soc-deploy status {run_id} --watch")
        return NOT_OVER
    if view["ended_at"] is None and view["state"] == "WAITING_APPROVAL":
        say(view["waiting"]["question"] if view.get("waiting") else "")
        say("NOT DEPLOYED: waits for approval")
        hints(view)
        return NOT_OVER
    show_end(link, view, options)
    return int(view["exit"])


def _followed(link: Link, run_id: str, options: Options) -> dict[str, Any]:
    """Until it stops; a question is asked where somebody can answer it."""
    after = 0
    while True:
        after = _shown(link, run_id, after, options)
        view: dict[str, Any] = link.call("view", run=run_id)
        if view["ended_at"] is None and view["state"] != "WAITING_APPROVAL":
            continue  # it waited a moment ago, and was approved meanwhile
        waiting = view.get("waiting")
        if view["state"] != "WAITING_APPROVAL" or not waiting or options.json or not sys.stdin.isatty():
            return view
        if not asked(waiting["question"]):
            link.call("reject", run=run_id, reason="no was typed at the terminal")
            continue
        link.call("approve", run=run_id)


def _shown(link: Link, run_id: str, after: int, options: Options) -> int:
    """Progress until the run stops; the number of the last row that was seen."""
    if options.live:
        from soc_deploy_mcp.interfaces.cli import live

        return live.watch(link, run_id, after)
    for event in link.follow(run_id, after):
        if event is None:
            continue
        after = event["seq"]
        if event["text"] and not options.json:
            done = f"[{event['done']}/{event['total']}] " if event["total"] else ""
            say(f"{clock(event['at'])} {done}{event['text']}")
    return after


def show_end(link: Link, view: dict[str, Any], options: Options) -> None:
    """The report, on stdout."""
    if options.json:
        print(link.call("report", run=view["id"], form="json"), end="")
        return
    text = link.call("report", run=view["id"], form="markdown")
    if sys.stdout.isatty() and not options.plain:
        from soc_deploy_mcp.interfaces.cli import paint

        paint.report(text)
    else:
        print(text, end="")
    say(f"\n{view['state']}: {view['first_line']}")


def asked(question: str) -> bool:
    """The plan is shown and a yes is wanted; anything else is a no."""
    print(question, file=sys.stderr)
    try:
        print("Approve? [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        return False


def clock(at: float) -> str:
    import time

    return time.strftime("%H:%M:%S", time.gmtime(at))
