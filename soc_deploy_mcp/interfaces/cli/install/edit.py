"""Changing one key of a JSON file as text: every other byte stays. Pure.

Each edit is proved before it is returned: the new text, read by the library's parser, must mean the old text with this
one key changed, in the same order. Taking a key out again puts back what was there before, so that install and
uninstall leave the file as it was, also when the user has edited other parts meanwhile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from soc_deploy_mcp.interfaces.cli.install import jsonc
from soc_deploy_mcp.interfaces.cli.install.changes import Form, Json, Keys
from soc_deploy_mcp.interfaces.cli.install.jsonc import Literal, Meaning, Members
from soc_deploy_mcp.interfaces.cli.install.page import BLANK, Manner, Member, NotPossible, Page


@dataclass(frozen=True)
class Undo:
    """What to put back. `was`: the text of the value that was there. Else the key was new: `there` names of its path
    were there already, and `gap` is the white space between the braces of an object that was empty."""

    was: str | None = None
    there: int = 0
    gap: str | None = None


class Edited(NamedTuple):
    text: str
    undo: Undo


class Splice(NamedTuple):
    start: int
    end: int
    text: str


def value_at(text: str, form: Form, keys: Keys) -> Meaning | None:
    """What stands at a key; None when it is not there (or null). Unreadable; NotPossible."""
    jsonc.meaning(text, form)
    page = Page(text)
    member = page.walk(keys).member
    if member is None:
        return None
    start, end = page.span(member)
    return means(text[start:end], form)


def means(raw: str, form: Form = "json") -> Meaning:
    """A value by its text."""
    return jsonc.meaning('{"value":' + raw + "\n}", form).pairs[0][1]


def plain(value: Meaning | None) -> Json:
    """A value as Python has it; of a repeated name the last, numbers other than whole ones as text."""
    if isinstance(value, Members):
        return {name: plain(each) for name, each in value.pairs}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, Literal):
        return int(value.text) if re.fullmatch(r"-?\d{1,18}", value.text) else value.text
    return value


def set_key(text: str, form: Form, keys: Keys, value: Json) -> Edited:
    """`text` with one key set, and how to take that back. Unreadable, NotPossible."""
    old = jsonc.meaning(text, form)
    page = Page(text)
    found = page.walk(keys)
    if found.member is not None:
        start, end = page.span(found.member)
        splices = [Splice(start, end, laid_out(value, page.manner(found.member.key)))]
        undo = Undo(was=text[start:end])
    else:
        rest = value
        for name in reversed(keys[found.there + 1 :]):
            rest = {name: rest}
        splices, gap = _insertion(page, found.brace, keys[found.there], rest)
        undo = Undo(there=found.there, gap=gap)
    new = _spliced(text, splices)
    _prove(new, form, _with(old, keys, means(json.dumps(value))))
    return Edited(new, undo)


def take_back(text: str, form: Form, keys: Keys, undo: Undo) -> str:
    """`text` without what `set_key` did; as it is when the key is gone. Unreadable, NotPossible."""
    old = jsonc.meaning(text, form)
    page = Page(text)
    member = page.walk(keys).member
    if member is None:
        return text
    if undo.was is not None:
        start, end = page.span(member)
        new = _spliced(text, [Splice(start, end, undo.was)])
        wanted = _with(old, keys, means(undo.was, form))
    else:
        keys = keys[: _made(page, keys, undo.there)]
        new = _spliced(text, _removal(page, keys, undo.gap if len(keys) == undo.there + 1 else None))
        wanted = _without(old, keys)
    _prove(new, form, wanted)
    return new


def laid_out(value: Json, manner: Manner | None) -> str:
    """A value as JSON: objects a member a line, lists in one; all in one line without a manner."""
    if manner is None or not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    inner = Manner(manner.line + manner.step, manner.step)
    members = (f"{inner.line}{json.dumps(name)}: {laid_out(each, inner)}" for name, each in value.items())
    return "{" + ",".join(members) + manner.line + "}"


def _insertion(page: Page, brace: int, name: str, value: Json) -> tuple[list[Splice], str | None]:
    members = page.members(brace)
    if not members:
        return _into_empty(page, brace, name, value)
    last = members[-1]
    at = page.with_comments(last.behind)
    manner = page.manner(last.key)
    if manner is None and page.line_comment_ends(at):
        manner = Manner(page.newline + page.line_indent(last.key) + page.step, page.step)
    entry = (manner.line if manner else " ") + _entry(name, value, manner)
    if last.comma is not None:
        return [Splice(at, at, entry + ",")], None
    end = page.tokens[last.last].end
    return [Splice(end, end, ","), Splice(at, at, entry)], None


def _into_empty(page: Page, brace: int, name: str, value: Json) -> tuple[list[Splice], str | None]:
    """A comment between the braces stays, behind the new member."""
    start, end = page.inside(brace)
    outer = page.newline + page.line_indent(brace)
    manner = Manner(outer + page.step, page.step)
    entry = manner.line + _entry(name, value, manner)
    gap = page.text[start:end]
    if gap.strip(BLANK):
        return [Splice(start, start, entry)], None
    return [Splice(start, end, entry + outer)], gap


def _entry(name: str, value: Json, manner: Manner | None) -> str:
    return f"{json.dumps(name)}: {laid_out(value, manner)}"


def _made(page: Page, keys: Keys, there: int) -> int:
    """How much of the path goes: the key, and the objects above it that we made and that hold nothing else."""
    depth = len(keys)
    while depth > there + 1 and _holds_one(page, keys[: depth - 1]):
        depth -= 1
    return depth


def _holds_one(page: Page, keys: Keys) -> bool:
    member = page.walk(keys).member
    assert member is not None
    return len(page.members(member.value)) == 1 and not page.commented(*page.span(member))


def _removal(page: Page, keys: Keys, gap: str | None) -> list[Splice]:
    found = page.walk(keys)
    member = found.member
    assert member is not None
    members = page.members(found.brace)
    if gap is not None and len(members) == 1 and _alone(page, found.brace, member):
        return [Splice(*page.inside(found.brace), gap)]
    end = page.tokens[member.last].end
    start = page.blank_before(member.key)
    comma = member.comma
    rest = end if comma is None else page.tokens[comma].end
    if page.line_comment_ends(start) and page.text[rest] not in "\r\n":
        start = page.tokens[member.key].start  # the comment would swallow what follows
    number = members.index(member)
    if comma is None and number:
        comma = members[number - 1].comma
    commas = [] if comma is None else [Splice(page.tokens[comma].start, page.tokens[comma].end, "")]
    return [*commas, Splice(start, end, "")]


def _alone(page: Page, brace: int, member: Member) -> bool:
    """Nothing but white space around the only member."""
    start, end = page.inside(brace)
    around = page.text[start : page.tokens[member.key].start] + page.text[page.tokens[member.behind].end : end]
    return not around.strip(BLANK)


def _spliced(text: str, splices: Iterable[Splice]) -> str:
    """Two at one place go in in the order given."""
    parts, at = [], 0
    for start, end, new in sorted(splices, key=lambda splice: splice.start):
        parts += [text[at:start], new]
        at = end
    return "".join([*parts, text[at:]])


def _prove(text: str, form: Form, wanted: Members) -> None:
    """A defect of the edit must never reach a file of the user."""
    try:
        same = jsonc.meaning(text, form) == wanted
    except jsonc.Unreadable:
        same = False
    if not same:
        raise NotPossible("the edit would change more than one key")


def _with(old: Meaning, keys: Keys, value: Meaning) -> Members:
    assert isinstance(old, Members)
    name, rest = keys[0], keys[1:]
    known = dict(old.pairs)
    new = _with(known.get(name, Members(())), rest, value) if rest else value
    if name not in known:
        return Members((*old.pairs, (name, new)))
    return Members(tuple((each, new if each == name else kept) for each, kept in old.pairs))


def _without(old: Meaning, keys: Keys) -> Members:
    assert isinstance(old, Members)
    name, rest = keys[0], keys[1:]
    if not rest:
        return Members(tuple(pair for pair in old.pairs if pair[0] != name))
    return Members(tuple((each, _without(kept, rest) if each == name else kept) for each, kept in old.pairs))
