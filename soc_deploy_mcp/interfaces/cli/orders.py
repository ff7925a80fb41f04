"""Orders to a run: pause, resume, promote, abort, approve, reject."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from soc_deploy_mcp.interfaces.cli.arguments import Arguments
from soc_deploy_mcp.interfaces.cli.link import open_link
from soc_deploy_mcp.interfaces.cli.options import Command, Options
from soc_deploy_mcp.interfaces.cli.output import hints, say, show_json


def control(verb: str, words: Sequence[str], options: Options) -> int:
    """`abort RUN --reason TEXT`. Returns at once; the run obeys by itself."""
    arguments = Arguments(verb, f"{verb} RUN [--reason TEXT]")
    arguments.add_argument("run")
    arguments.add_argument("--reason", default="")
    if verb == "pause":
        arguments.add_argument("--unattended", action="store_true")
    asked = arguments.read(words)
    more = {"unattended": asked.unattended} if verb == "pause" else {}
    link = open_link()
    try:
        view = link.call("control", run=asked.run, verb=verb, reason=asked.reason, **more)
    finally:
        link.close()
    over = view["ended_at"] is not None  # else `first_line` still tells of the state before the order
    return _shown(view, options, f"{verb}: {view['first_line'] if over else 'asked for'}")


def approve(words: Sequence[str], options: Options) -> int:
    """A yes typed at this terminal: A0, nobody proves who typed it."""
    arguments = Arguments("approve", "approve RUN|PLAN_HASH [--yes]")
    arguments.add_argument("run")
    arguments.add_argument("--yes", action="store_true")
    asked = arguments.read(words)
    link = open_link()
    try:
        if not asked.yes and not _confirmed(link, asked.run):
            say("not approved: the run goes on waiting")
            return 1
        view = link.call("approve", run=asked.run)
    finally:
        link.close()
    return _shown(view, options, "approved (A0, terminal): the run starts by itself")


def _confirmed(link: Any, run: str) -> bool:
    """Show what is approved first, where a person can read it; a plan hash has nothing to show by itself."""
    import sys

    from soc_deploy_mcp.core.errors import DeployError
    from soc_deploy_mcp.interfaces.cli.line import asked

    if not sys.stdin.isatty():
        return True  # a script: whoever wrote the line has said yes
    try:
        waiting = link.call("view", run=run).get("waiting")
    except DeployError:
        return True
    return asked(waiting["question"]) if waiting else True


def reject(words: Sequence[str], options: Options) -> int:
    arguments = Arguments("reject", "reject RUN --reason TEXT")
    arguments.add_argument("run")
    arguments.add_argument("--reason", required=True)
    asked = arguments.read(words)
    link = open_link()
    try:
        view = link.call("reject", run=asked.run, reason=asked.reason)
    finally:
        link.close()
    return _shown(view, options, "rejected")


def _shown(view: dict[str, Any], options: Options, text: str) -> int:
    if options.json:
        show_json(view)
    else:
        print(f"{view['id']} {view['target']}: {text}")
        hints(view)
    return 0


COMMANDS: dict[str, Command] = {
    **{verb: partial(control, verb) for verb in ("pause", "resume", "promote", "abort")},
    "approve": approve,
    "reject": reject,
}
