"""JSON and JSONC files as people have them: comments, odd indentation, line endings, keys that look like ours."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

NAMES = ("mcp", "soc-deploy", "permission", "mcpServers", "soc-deploy_*", "a", "", "käse", "$schema", 'q"uote', "x\\")
STRINGS = (
    *("user-1", "", '{"mcp": {"soc-deploy": 1}}', "// no comment", "/* nor this */", ', "soc-deploy": {', "日本", "\\"),
    *('"', "}", "]", "tab\t", "line\nbreak", "\u2028", "https://example.com//x"),
)
_NUMBERS = ("0", "-1", "1.0", "1e400", "12345678901234567890", "-0.0", "2E+3")


@dataclass(frozen=True)
class Style:
    newline: str
    indent: str
    comments: bool
    trailing: bool
    bom: bool
    one_line: bool


styles = st.builds(
    Style,
    newline=st.sampled_from(["\n", "\r\n"]),
    indent=st.sampled_from(["  ", "    ", "\t", " ", "   "]),
    comments=st.booleans(),
    trailing=st.booleans(),
    bom=st.booleans(),
    one_line=st.booleans(),
)
strict = styles.map(lambda style: Style(**{**vars(style), "comments": False, "trailing": False}))

scalars = st.one_of(st.sampled_from(STRINGS), st.booleans(), st.none(), st.integers(-5, 5))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)


@st.composite
def files(draw: st.DrawFn, style: st.SearchStrategy[Style] = styles) -> str:
    """The text of a file that holds one object."""
    manner = draw(style)
    return _Writer(draw, manner).file(draw(documents))


class _Writer:
    def __init__(self, draw: st.DrawFn, style: Style) -> None:
        self.draw, self.style = draw, style

    def file(self, document: dict[str, Any]) -> str:
        body = self.gap() + self.value(document, 0) + self.draw(st.sampled_from(["", "\n", "\n\n", " "])) + self.gap()
        return ("\ufeff" if self.style.bom else "") + body.replace("\n", self.style.newline)

    def value(self, value: Any, level: int) -> str:
        if isinstance(value, dict):
            return self.group(
                "{}",
                [f"{self.word(k)}{self.gap()}:{self.gap()}{self.value(v, level + 1)}" for k, v in value.items()],
                level,
            )
        if isinstance(value, list):
            return self.group("[]", [self.value(each, level + 1) for each in value], level)
        if isinstance(value, int) and not isinstance(value, bool) and self.draw(st.booleans()):
            return self.draw(st.sampled_from(_NUMBERS))
        return self.word(value)

    def group(self, braces: str, parts: list[str], level: int) -> str:
        if not parts:
            return braces[0] + self.draw(st.sampled_from(["", " ", "\n", "\n\n  "])) + self.gap() + braces[1]
        one_line = self.style.one_line or self.draw(st.integers(0, 3)) == 0
        lead = "" if one_line else "\n" + self.style.indent * (level + 1)
        body = ",".join(f"{self.gap()}{lead}{part}{self.gap()}" for part in parts)
        comma = "," if self.style.trailing and self.draw(st.booleans()) else ""
        return (
            braces[0] + body + comma + self.gap() + ("" if one_line else "\n" + self.style.indent * level) + braces[1]
        )

    def gap(self) -> str:
        if not self.style.comments:
            return self.draw(st.sampled_from(["", "", " ", "  "]))
        comments = [
            "",
            "",
            "",
            " ",
            ' // "soc-deploy": {}\n',
            "/* , } */",
            " /* two\nlines */ ",
            "//\n",
            "\n  // own line\n",
        ]
        return self.draw(st.sampled_from(comments))

    def word(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=self.draw(st.booleans()))


def plain(text: str) -> Any:
    """What a file says, read by other means than the package's: character by character."""
    out, at, text = [], 0, text.removeprefix("\ufeff")
    while at < len(text):
        if text[at] == '"':
            end = at + 1
            while text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            out.append(text[at : end + 1])
            at = end + 1
        elif text.startswith("//", at):
            while at < len(text) and text[at] not in "\r\n":
                at += 1
        elif text.startswith("/*", at):
            at = text.index("*/", at) + 2
        else:
            out.append(text[at])
            at += 1
    parts = [part for part in out if part.strip(" \t\r\n")]
    kept = [
        part for part, then in zip(parts, [*parts[1:], ""], strict=True) if not (part == "," and then in ("}", "]"))
    ]
    return json.loads("".join(kept), parse_float=str, parse_int=str)
