"""What a client's files say. Pure: texts in, changes out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from soc_deploy_mcp.interfaces.cli.install import edit, marker
from soc_deploy_mcp.interfaces.cli.install.changes import Change, File, Json, Key, Keys
from soc_deploy_mcp.interfaces.cli.install.clients import CLAUDE, OPENCODE, READING, WRITING, Client
from soc_deploy_mcp.interfaces.cli.install.source import Texts
from soc_deploy_mcp.interfaces.daemon.hello import VERSION

TIMEOUT_MS = 600_000  # OpenCode: covers the start, the list and each call; progress resets it

_NAME = "soc-deploy"
SERVER: dict[str, Keys] = {"opencode": ("mcp", _NAME), "claude": ("mcpServers", _NAME)}  # where the server's entry is
_BLANK = {"opencode": '{\n  "$schema": "https://opencode.ai/config.json"\n}\n', "claude": "{}\n"}


def render(
    client: Client, config: str, command: str, texts: Texts, argv: Sequence[str], trust: bool = False
) -> tuple[Change, ...]:
    """The changes of one client, its server first. `config` and `command` are the paths to write."""
    granted = trust and client is CLAUDE  # elsewhere the words mean nothing
    keys = _opencode(argv, trust) if client is OPENCODE else {SERVER[client.name]: _claude(argv)}
    return (
        *(
            Key(config, client.form, path, value, _BLANK[client.name], choice=path[0] == "permission")
            for path, value in keys.items()
        ),
        File(command, marker.stamp(_granting(texts.command) if granted else texts.command, VERSION)),
    )


def argv_of(entry: Json) -> tuple[str, ...]:
    """How a server entry starts our server, without the word `serve`; () for anything that does not."""
    if not isinstance(entry, dict):
        return ()
    command, args = entry.get("command"), entry.get("args", [])
    if isinstance(command, str):
        command = [command]
    if not isinstance(command, list) or not isinstance(args, list):
        return ()
    words = [str(word) for word in (*command, *args)]
    ours = words and (re.split(r"[/\\]", words[0])[-1] == _NAME or "soc_deploy_mcp" in words)
    return tuple(words[:-1]) if ours and words[-1] == "serve" else ()


def snippet(keys: Sequence[Key]) -> str:
    """What to paste, for a file that we leave alone: all keys, so that nothing is allowed by being left out."""
    text = "{}"
    for key in keys:
        text = edit.set_key(text, key.form, key.keys, key.value).text
    return text


def _opencode(argv: Sequence[str], trust: bool) -> dict[Keys, Json]:
    """The last entry that fits a tool counts in OpenCode: the wildcard comes first."""
    server: Json = {"type": "local", "command": [*argv, "serve"], "enabled": True, "timeout": TIMEOUT_MS}
    allowed = READING + WRITING if trust else READING
    return {
        SERVER[OPENCODE.name]: server,
        ("permission", f"{_NAME}_*"): "ask",
        **{("permission", f"{_NAME}_{tool}"): "allow" for tool in allowed},
    }


def _claude(argv: Sequence[str]) -> Json:
    """No timeout: there it is a wall that progress does not move."""
    return {"type": "stdio", "command": argv[0], "args": [*argv[1:], "serve"], "alwaysLoad": True}


def _granting(command: str) -> str:
    """Claude Code's `allowed-tools` grants these without any other permission: the writing tools for --trust only."""
    more = " ".join(f"mcp__{_NAME}__{tool}" for tool in WRITING)
    text, count = re.subn(r"^(allowed-tools: .*)$", rf"\1 {more}", command, count=1, flags=re.MULTILINE)
    assert count == 1, "the command's text has no allowed-tools line"
    return text
