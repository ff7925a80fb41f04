"""Where things stand in a JSON file: its tokens, the members of an object, lines and their indentation. Pure."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from soc_deploy_mcp.interfaces.cli.install import jsonc
from soc_deploy_mcp.interfaces.cli.install.changes import Keys

BLANK = " \t\r\n"


class NotPossible(Exception):
    """The key cannot be changed without touching something else."""


class Member(NamedTuple):
    """A name and its value, as numbers of tokens."""

    name: str
    key: int
    value: int
    last: int  # of the value
    comma: int | None  # behind it

    @property
    def behind(self) -> int:
        return self.last if self.comma is None else self.comma


class Found(NamedTuple):
    """How far a path of names leads."""

    there: int  # so many of its names
    brace: int  # the object in which the walk ended
    member: Member | None  # the whole path's, if it is there


class Manner(NamedTuple):
    """How an object is laid out that begins in a line of its own key."""

    line: str  # a new line, with the indentation of the key
    step: str  # one level more


class Page:
    """A text that `jsonc.meaning` could read."""

    def __init__(self, text: str) -> None:
        self.text = text
        everything = list(jsonc.tokens(text))
        self.comments = [token for token in everything if token.kind == "comment"]
        self.tokens = [token for token in everything if token.kind != "comment"]
        first = re.search(r"\r?\n", text)
        self.newline = first[0] if first else "\n"
        self.step = (self.indent(1) if len(self.tokens) > 2 else None) or "  "

    def members(self, brace: int) -> list[Member]:
        found, at = [], brace + 1
        while self.tokens[at].text != "}":
            last = self.end(at + 2)
            comma = last + 1 if self.tokens[last + 1].text == "," else None
            found.append(Member(json.loads(self.tokens[at].text), at, at + 2, last, comma))
            at = last + 1 if comma is None else last + 2
        return found

    def walk(self, keys: Keys) -> Found:
        """NotPossible where a name on the way is there twice, or holds no object."""
        brace = 0
        for there, name in enumerate(keys):
            if self.tokens[brace].text != "{":
                raise NotPossible(f"{'.'.join(keys[:there])} is no object")
            same = [member for member in self.members(brace) if member.name == name]
            if len(same) > 1:
                raise NotPossible(f"{'.'.join(keys[: there + 1])} is there {len(same)} times")
            if not same:
                return Found(there, brace, None)
            if there == len(keys) - 1:
                return Found(len(keys), brace, same[0])
            brace = same[0].value
        return Found(0, brace, None)

    def end(self, at: int) -> int:
        """The last token of the value that begins here."""
        depth = 0
        while True:
            mark = self.tokens[at].text if self.tokens[at].kind == "mark" else ""
            depth += (mark in ("{", "[")) - (mark in ("}", "]"))
            if depth == 0:
                return at
            at += 1

    def span(self, member: Member) -> tuple[int, int]:
        """Of its value, in characters."""
        return self.tokens[member.value].start, self.tokens[member.last].end

    def inside(self, brace: int) -> tuple[int, int]:
        """What stands between the braces, in characters."""
        return self.tokens[brace].end, self.tokens[self.end(brace)].start

    def indent(self, token: int) -> str | None:
        """The white space before a token that begins its line; None for one that does not."""
        ahead = self.text[: self.tokens[token].start]
        bare = ahead.rstrip(" \t")
        return ahead[len(bare) :] if bare.endswith(("\n", "\r")) else None

    def line_indent(self, token: int) -> str:
        """The white space at the beginning of the line in which a token stands."""
        line = re.split(r"[\r\n]", self.text[: self.tokens[token].start])[-1]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def manner(self, token: int) -> Manner | None:
        """Of what follows a key; None for one line, where the key itself does not begin its line."""
        indent = self.indent(token)
        return None if indent is None else Manner(self.newline + indent, self.step)

    def commented(self, start: int, end: int) -> bool:
        return any(start < comment.start < end for comment in self.comments)

    def line_comment_ends(self, at: int) -> bool:
        return any(comment.end == at and comment.text.startswith("//") for comment in self.comments)

    def with_comments(self, token: int) -> int:
        """The end of a token, or of the comments that follow it in its line: they are about what stands before."""
        at = self.tokens[token].end
        for comment in self.comments:
            if comment.start >= at and not self.text[at : comment.start].strip(" \t"):
                at = comment.end
        return at

    def blank_before(self, token: int) -> int:
        """Where the white space ahead of a token begins."""
        return len(self.text[: self.tokens[token].start].rstrip(BLANK))
