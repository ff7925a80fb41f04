"""What a person types wrongly at the command line, and what is said about it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from soc_deploy_mcp import __main__ as program
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.interfaces.cli import entry, helps, mistyped
from soc_deploy_mcp.interfaces.cli.output import show_error


class Said(NamedTuple):
    code: int
    out: str
    err: str


class Typed:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, line: str) -> Said:
        code = entry.main(line.split())
        said = self.capsys.readouterr()
        return Said(code, said.out, said.err)


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(capsys)


@pytest.mark.parametrize("line", ["status --format xml", "production --action deploy --format=yaml", "status --format"])
def test_another_format_is_a_message_and_no_traceback(typed: Typed, line: str) -> None:
    said = typed(line)
    assert said.code == 64
    assert said.err.startswith("E_VALUE  --format takes json or text")
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("logs prod --lines 0", "--lines"),
        ("logs prod --lines -3", "--lines"),
        ("releases prod --limit x", "--limit"),
        ("report", "run"),
        ("status --frob", "--frob"),
        ("daemon restart", "restart"),
    ],
)
def test_a_wrong_argument_is_named_with_the_usage(typed: Typed, line: str, named: str) -> None:
    said = typed(line)
    assert said.code == 64
    assert named in said.err
    assert f"soc-deploy {line.split(maxsplit=1)[0]} --help" in said.err
    assert not said.out


def test_what_to_type_can_be_typed_into_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    error = {"code": "E_X", "what": "w", "why": "", "try": "/soc-deploy prod --action rollback\nsoc-deploy status"}
    show_error(error)
    assert "Try: soc-deploy prod --action rollback\n     soc-deploy status" in capsys.readouterr().err
    show_error(error, as_json=True)
    assert json.loads(capsys.readouterr().out)["error"]["try"] == "soc-deploy prod --action rollback\nsoc-deploy status"


@pytest.mark.parametrize("words", [["help", "statsu"], ["help", "deploi"]])
def test_help_for_no_command_names_the_nearest(typed: Typed, words: Sequence[str]) -> None:
    said = typed(" ".join(words))
    near = {"statsu": "status", "deploi": "deploy"}[words[1]]
    assert said.code == 64
    assert f"Did you mean {near}" in said.err
    assert f"soc-deploy help {near}" in said.err


CONFIG = 'services: {shop: {run: [serve, "{port}"]}}\n'


@pytest.mark.parametrize("config", ["", CONFIG])
@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("statsu", "status"),
        ("approv run_1", "approve run_1"),
        ("relases prod", "releases prod"),
        ("rport x", "report x"),
    ],
)
def test_a_mistyped_subcommand_is_named(
    typed: Typed, line: str, meant: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOC_DEPLOY_IN_PROCESS", "1")
    monkeypatch.setenv("SOC_DEPLOY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    if config:
        (tmp_path / "soc-deploy.yaml").write_text(config)
    said = typed(line)
    assert said.code
    assert f"Did you mean the command {meant.split(maxsplit=1)[0]}?" in said.err
    assert f"Try: soc-deploy {meant}\n" in said.err


@pytest.mark.parametrize("line", ["prod --version v1", "release the newest version to production now", "xyzzy", "dev"])
def test_what_is_no_slip_of_the_finger_names_no_subcommand(line: str) -> None:
    refused = DeployError("E_TARGET", "no target", "", "soc-deploy prod --action deploy")
    assert mistyped.perhaps(line.split(), refused) is refused


@pytest.mark.parametrize("word", ["deploy", "rollback"])
def test_help_of_an_action_ends_in_lines_that_the_grammar_takes(word: str) -> None:
    from soc_deploy_mcp.core.command.grammar import parse
    from soc_deploy_mcp.core.command.known import Known

    text = helps.action(word)
    examples = [line.strip() for line in text.splitlines() if line.startswith("  soc-deploy ")]
    assert len(examples) == 2
    assert {parse(line.removeprefix("soc-deploy "), Known(services=("shop",))).action for line in examples} == {word}
    assert "--detach" in text


@pytest.mark.parametrize("name", sorted(helps.TEXTS))
def test_every_command_has_a_help(typed: Typed, name: str) -> None:
    said = typed(f"{name} --help")
    assert said.code == 0
    assert said.out.startswith(f"soc-deploy {name}")


def test_serve_explains_itself_instead_of_serving(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["soc-deploy", "serve", "--help"])
    assert program.main() == 0
    assert capsys.readouterr().out.startswith("soc-deploy serve")
