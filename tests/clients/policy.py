"""A model that does what the command says, to the letter, and nothing else: no script, the same for every client.

So a wrong substitution of the arguments gives a wrong call, a server that is missing gives a text that says so, and a
report that is lost on the way is missing in the last answer.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, NamedTuple

from soc_deploy_mcp.core.event import State
from tests.clients.conversation import Call, Conversation, Move, Say

FINAL = "THE TOOL ANSWERED:\n"
QUESTION = "How is the deployment doing?"
_MOST_CALLS = 40

_GOES_ON = {state.value.lower() for state in State if not state.terminal} - {"waiting_approval", "paused"}
_RUN = re.compile(r"\brun_[0-9a-f]{32}\b")


class Answer(NamedTuple):
    state: str
    run_id: str
    next: str


def next_move(chat: Conversation) -> Move:
    if chat.result is not None:
        return _after(chat, chat.result)
    if not chat.offered:
        return Say("A deployment")  # the title of the chat is asked of the same model
    for text in reversed(chat.texts):
        if found := re.search(r"<user-instruction>(.*)</user-instruction>", text, re.DOTALL):
            return _call(chat, "soc_deploy", {"instruction": found[1]})
        if QUESTION in text:
            return _call(chat, "status", {})
    return Say(f"I was told nothing: {chat.texts[-1:]}")


def read(result: str) -> Answer:
    """The state in a tool's answer: structured, or the last line of the text."""
    if said := structured(result):
        return Answer(str(said.get("state", "")), str(said.get("run_id", "")), " | ".join(said.get("next", [])))
    foot = re.search(r"^--- soc-deploy: state=(\w+)(?: run=(\w+))?(?: error=\w+)? next: (.*)$", result, re.MULTILINE)
    return Answer(foot[1], foot[2] or "", foot[3]) if foot else Answer("", "", "")


def structured(result: str) -> dict[str, Any]:
    """{} for a text. Claude Code puts a line for the link to the report ahead of the object."""
    for line in result.splitlines():
        with suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict):
                return said
    return {}


def _after(chat: Conversation, result: str) -> Move:
    """Follow what goes on; show what is over, waits for a person, or went wrong."""
    answer = read(result)
    run = answer.run_id if answer.state in _GOES_ON else ""
    if answer.state == "answered" and (listed := _RUN.search(result)):
        run = listed[0]  # of a list, the first: open runs come first
    if run and chat.calls < _MOST_CALLS:
        return _call(chat, "status", {"run_id": run, "wait_s": 40})
    return Say(FINAL + result)


def _call(chat: Conversation, tool: str, arguments: dict[str, Any]) -> Move:
    """OpenCode says soc-deploy_status, Claude Code mcp__soc-deploy__status."""
    for name in chat.offered:
        if re.fullmatch(rf"(soc-deploy_|mcp__soc-deploy__){tool}", name):
            return Call(name, arguments)
    return Say(f"The tool {tool} was not offered, only {sorted(chat.offered)}")
