"""What the written files say: as they were agreed (golden/), as the clients want them, as this repository has them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from soc_deploy_mcp.interfaces.cli.install import source
from soc_deploy_mcp.interfaces.cli.install.clients import CLAUDE, CLIENTS, OPENCODE, READING, WRITING
from soc_deploy_mcp.interfaces.daemon.hello import VERSION
from soc_deploy_mcp.interfaces.mcp import tools
from tests.interfaces.cli.install.sites import Sites, tree

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[3]
ENTRY = {
    "opencode": {
        "type": "object",
        "additionalProperties": False,
        "required": ["type", "command", "enabled", "timeout"],
        "properties": {
            "type": {"const": "local"},
            "command": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "enabled": {"const": True},
            "timeout": {"type": "integer", "minimum": 60_000},
        },
    },
    "claude": {
        "type": "object",
        "additionalProperties": False,  # above all no timeout: there it is a wall
        "required": ["type", "command", "args", "alwaysLoad"],
        "properties": {
            "type": {"const": "stdio"},
            "command": {"type": "string", "minLength": 1},
            "args": {"type": "array", "items": {"type": "string"}},
            "alwaysLoad": {"const": True},
        },
    },
}


@pytest.mark.parametrize("trust", [False, True], ids=["plain", "trust"])
@pytest.mark.parametrize("client", CLIENTS)
def test_the_files_are_the_agreed_ones(sites: Sites, client: str, trust: bool) -> None:
    sites.run(f"install --client {client}" + (" --trust" if trust else ""))
    agreed = HERE / "golden" / f"{client}{'-trust' if trust else ''}"
    written = {
        name: content.replace(f" {VERSION} (".encode(), b" VERSION (")
        for name, (kind, content, _) in tree(sites.project).items()
        if kind == "file" and not name.startswith(".soc-deploy")
    }
    assert written == {str(path.relative_to(agreed)): path.read_bytes() for path in agreed.rglob("*") if path.is_file()}


@pytest.mark.parametrize("client", [OPENCODE, CLAUDE], ids=lambda client: client.name)
def test_this_repository_has_what_install_writes(sites: Sites, client: Any) -> None:
    sites.run(f"install --client {client.name}")
    for name, (kind, content, _) in tree(sites.project).items():
        if kind == "file" and not name.startswith(".soc-deploy"):
            assert (REPOSITORY / name).read_bytes() == content, f"run: soc-deploy install --client {client.name}"


@pytest.mark.parametrize("scope", ["project", "user"])
def test_the_entries_have_the_shape_that_the_clients_read(sites: Sites, scope: str) -> None:
    sites.run(f"install --client opencode --client claude --scope {scope}")
    base = sites.project if scope == "project" else sites.home
    opencode = json.loads(
        (base / ("opencode.json" if scope == "project" else ".config/opencode/opencode.json")).read_text()
    )
    claude = json.loads((base / (".mcp.json" if scope == "project" else ".claude.json")).read_text())
    Draft202012Validator(ENTRY["opencode"]).validate(opencode["mcp"]["soc-deploy"])
    Draft202012Validator(ENTRY["claude"]).validate(claude["mcpServers"]["soc-deploy"])
    assert set(opencode) == {"$schema", "mcp", "permission"}
    assert set(opencode["permission"].values()) == {"ask", "allow"}
    assert all(name.startswith("soc-deploy_") for name in opencode["permission"])


def test_the_command_hands_the_arguments_on_once_and_attaches_or_runs_nothing() -> None:
    text = source.load().command
    body = text.split("---\n", 2)[2]
    assert text.count("$ARGUMENTS") == 1
    assert body.endswith("<user-instruction>$ARGUMENTS</user-instruction>\n")
    assert not re.search(r"\$\d", text)
    assert "@" not in text  # both clients attach the file behind it
    assert "!`" not in text  # both clients run what follows
    assert "exactly once" in body


def test_the_front_matter_suits_both_clients() -> None:
    """Unknown keys are harmless in OpenCode; `tools` or `color` of the wrong type would stop it altogether."""
    front = yaml.safe_load(source.load().command.split("---\n", 2)[1])
    assert set(front) == {"description", "argument-hint", "disable-model-invocation", "allowed-tools"}
    assert front["disable-model-invocation"] is True
    assert front["allowed-tools"].split() == [f"mcp__soc-deploy__{tool}" for tool in READING]


def test_reading_and_writing_tools_are_those_of_the_server() -> None:
    hints = {name: bool(hint.read_only_hint) for name, (hint, _) in tools.TABLE.items()}
    assert {name for name, reads in hints.items() if reads} == set(READING)
    assert {name for name, reads in hints.items() if not reads} == set(WRITING)
