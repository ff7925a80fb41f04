"""The table of errors: every code that the source can raise is a row, and every row is raised somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from soc_deploy_mcp.core.errors import CODES, DeployError, Exit

PACKAGE = Path(__file__).parents[2] / "soc_deploy_mcp"
CODE = re.compile(r"E_[A-Z]+(?:_[A-Z]+)*")


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text())


def codes_of(tree: ast.AST) -> Iterator[str]:
    """Every string of the source that is a code and nothing else."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
            yield node.value


def mentioned() -> dict[str, set[str]]:
    """Code -> the files that name it, without the table itself."""
    found: dict[str, set[str]] = {}
    for path, tree in sources():
        if path != Path("core/errors.py"):
            for code in codes_of(tree):
                found.setdefault(code, set()).add(str(path))
    return found


def test_every_code_that_the_source_names_is_a_row() -> None:
    unknown = {code: files for code, files in mentioned().items() if code not in CODES}
    assert not unknown


def test_every_row_is_named_by_the_source() -> None:
    assert not set(CODES) - set(mentioned())


def test_an_error_is_made_with_a_code_that_can_be_looked_up() -> None:
    """The first argument of DeployError and trouble is a literal, or comes from another error."""
    loose = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            if node.func.id in ("DeployError", "trouble") and not _known(node.args[0]):
                loose.append(f"{path}:{node.lineno} {ast.unparse(node.args[0])}")
    assert not loose


def _known(first: ast.expr) -> bool:
    """A literal, a choice of literals, or a value that a checked place handed on."""
    if isinstance(first, ast.IfExp):
        return _known(first.body) and _known(first.orelse)
    if isinstance(first, ast.Constant):
        return first.value in CODES
    return isinstance(first, ast.Attribute | ast.Subscript | ast.Name)


def test_a_code_without_a_row_cannot_be_raised() -> None:
    with pytest.raises(ValueError, match="E_NOWHERE is no row"):
        DeployError("E_NOWHERE", "something happened")


@pytest.mark.parametrize("code", CODES)
def test_every_row_says_something_and_has_a_failing_exit_code(code: str) -> None:
    row = CODES[code]
    assert row.meaning.endswith(".")
    assert CODE.fullmatch(code)
    assert row.exit in (Exit.REFUSED, Exit.NO_CHANGE, Exit.OPERATOR, Exit.USAGE, Exit.NOT_OVER)


def test_an_error_crosses_a_socket_unchanged() -> None:
    error = DeployError("E_LOCKED", "held", "by another", "soc-deploy status\nsoc-deploy abort")
    back = DeployError.from_json(error.to_json())
    assert (back.code, back.what, back.why, back.try_, back.exit) == (
        *("E_LOCKED", "held", "by another", "soc-deploy status\nsoc-deploy abort"),
        Exit.NO_CHANGE,
    )


def test_the_exit_codes_are_the_documented_ones() -> None:
    assert {each.name: int(each) for each in Exit} == {
        "OK": 0, "REFUSED": 1, "NO_CHANGE": 2, "ROLLED_BACK": 3, "OPERATOR": 4, "NOT_OVER": 10, "USAGE": 64,
    }  # fmt: skip
