"""The first line each way."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.interfaces.daemon.hello import LONGEST, VERSION, Ack, Hello, project_of

WORDS = st.text(min_size=1, max_size=40)
PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40).map(lambda p: f"/{p}")
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=8,
)


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


@given(
    st.builds(Hello, WORDS, st.integers(), st.sampled_from(["mcp", "cli"]), WORDS, PATHS, st.integers(), st.booleans())
)
def test_a_hello_is_one_line_that_reads_back(hello: Hello) -> None:
    line = hello.line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert Hello.read(line) == hello


@given(st.builds(Ack, st.booleans(), WORDS, st.integers(), WORDS, WORDS, WORDS, WORDS, st.booleans()))
def test_an_answer_is_one_line_that_reads_back(ack: Ack) -> None:
    assert ack.line().count(b"\n") == 1
    assert Ack.read(ack.line()) == ack


@given(st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_a_value_error_and_nothing_worse(line: bytes) -> None:
    for read in (Hello.read, Ack.read):
        try:
            read(line)
        except ValueError:
            continue
        assert json.loads(line)["ok" if read == Ack.read else "project"]


@pytest.mark.parametrize(
    "change",
    [{"role": "root"}, {"project": "shop"}, {"project": "/a\0b"}, {"pid": True}, {"soc_deploy": "1"}, {"cwd": ""}],
)
def test_a_hello_with_a_wrong_member_is_refused(change: dict[str, Any]) -> None:
    said = json.loads(Hello("0.1.0", 1, "mcp", "/", "/").line())
    with pytest.raises(ValueError):
        Hello.read(json.dumps(said | change).encode())


def test_nesting_and_length_do_not_hurt() -> None:
    for line in (b"[" * 60_000, b'"' + b"x" * LONGEST + b'"'):
        with pytest.raises(ValueError):
            Hello.read(line)


def test_unknown_members_are_for_a_later_version() -> None:
    said = json.loads(Hello("0.1.0", 1, "mcp", "/", "/").line())
    assert Hello.read(json.dumps(said | {"mood": "good"}).encode()).role == "mcp"


def test_the_project_is_the_nearest_directory_with_a_sign(tmp_path: Path) -> None:
    inner = tmp_path / "shop" / "src" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "shop" / ".git").touch()  # a file in a worktree
    assert project_of("cli", str(inner), {}) == str(tmp_path / "shop")
    (inner.parent / "soc-deploy.yaml").touch()
    assert project_of("cli", str(inner), {}) == str(inner.parent)


def test_without_a_sign_it_is_the_working_directory(tmp_path: Path) -> None:
    assert project_of("mcp", str(tmp_path), {}) == str(tmp_path)


def test_a_chat_may_name_its_project_and_a_terminal_stands_in_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    named = {"CLAUDE_PROJECT_DIR": str(tmp_path / "b")}
    assert project_of("mcp", str(tmp_path / "a"), named) == str(tmp_path / "b")
    assert project_of("cli", str(tmp_path / "a"), named) == str(tmp_path / "a")
    assert project_of("mcp", str(tmp_path / "a"), {"CLAUDE_PROJECT_DIR": "relative"}) == str(tmp_path / "a")
