"""JSON (RFC 8259), and JSON with comments and trailing commas as OpenCode reads it: where things stand, what they say.

The text is read twice by different means: the tokens below say where a key stands, the library's parser says what a
file means. An edit made with the one is proved with the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from soc_deploy_mcp.interfaces.cli.install.changes import Form

BOM = "\ufeff"

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<comment>//[^\r\n]*|/\*.*?\*/)
      | (?P<string>"[^"\\]*(?:\\.[^"\\]*)*")
      | (?P<mark>[{}\[\]:,])
      | (?P<word>[^\s{}\[\]:,"/]+)""",
    re.DOTALL | re.VERBOSE,
)


class Unreadable(Exception):
    """The text is not what its form says."""

    def __init__(self, why: str, text: str, at: int) -> None:
        line = text.count("\n", 0, at) + 1
        column = at - text.rfind("\n", 0, at)
        super().__init__(f"line {line}, column {column}: {why}")


class Token(NamedTuple):
    kind: str  # comment, string, mark or word
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Literal:
    """A number as it is written: 1.0 is not 1, and 1e400 is not infinity."""

    text: str


@dataclass(frozen=True)
class Members:
    """An object with its order and its repeated names."""

    pairs: tuple[tuple[str, Meaning], ...]


Meaning = Members | list["Meaning"] | Literal | str | bool | None


def tokens(text: str) -> Iterator[Token]:
    """All but white space. Unreadable where nothing fits."""
    at = 1 if text.startswith(BOM) else 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Unreadable("an unexpected character, or a string or comment without end", text, at)
        if found.lastgroup != "space":
            yield Token(str(found.lastgroup), found[0], at, found.end())
        at = found.end()


def meaning(text: str, form: Form) -> Members:
    """What the file says. Unreadable for anything but one object."""
    plain = _without_extras(text) if form == "jsonc" else text
    if plain.startswith(BOM):
        plain = " " + plain[1:]
    try:
        found: Meaning = json.loads(
            plain,
            object_pairs_hook=lambda pairs: Members(tuple(pairs)),
            parse_int=Literal,
            parse_float=Literal,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        raise Unreadable(error.msg, text, error.pos) from None
    except RecursionError:
        raise Unreadable("nested too deep", text, 0) from None
    except _Constant as error:
        raise Unreadable(f"{error} is no JSON", text, plain.find(str(error))) from None
    if not isinstance(found, Members):
        raise Unreadable("the file holds no object", text, 0)
    return found


class _Constant(Exception):
    pass


def _no_constant(name: str) -> Meaning:
    raise _Constant(name)


def _without_extras(text: str) -> str:
    """The same text with spaces for comments and for commas behind a last value: positions stay."""
    out = list(text)
    earlier = before = ""
    comma = 0
    for token in tokens(text):
        if token.kind == "comment":
            out[token.start : token.end] = [" "] * (token.end - token.start)
            continue
        if token.text in ("}", "]") and before == "," and earlier not in ("{", "[", ",", ":"):
            out[comma] = " "
        earlier, before = before, token.text
        comma = token.start if token.text == "," else comma
    return "".join(out)
