"""One key of a user's file is changed, and nothing else of it. Every example is a file of its own."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.interfaces.cli.install.changes import Form, Json
from soc_deploy_mcp.interfaces.cli.install.edit import plain, set_key, take_back, value_at
from soc_deploy_mcp.interfaces.cli.install.jsonc import Unreadable
from soc_deploy_mcp.interfaces.cli.install.page import NotPossible
from tests.interfaces.cli.install import texts

SERVER: Json = {"type": "local", "command": ["soc-deploy", "serve"], "enabled": True, "timeout": 600000}
paths = st.sampled_from([("mcp", "soc-deploy"), ("permission", "soc-deploy_*"), ("a",), ("mcp", "a", "b", "c")])


def set_or_refuse(text: str, form: Form, keys: tuple[str, ...], value: Json = SERVER) -> Any:
    """None where a name on the way holds something else than an object."""
    try:
        return set_key(text, form, keys, value)
    except NotPossible as refused:
        if "is no object" not in str(refused):
            raise
        return None


def with_key(document: Any, keys: tuple[str, ...], value: Any) -> Any:
    if not keys:
        return value
    return {**document, keys[0]: with_key(document.get(keys[0], {}), keys[1:], value)}


def is_insertion(old: str, new: str) -> bool:
    """Is `new` the old text with one piece put in, and perhaps a comma ahead of it?"""
    start = common(old, new)
    if new[len(new) - len(old) + start :] == old[start:]:
        return True
    rest_old, rest_new = old[start:], new[start + 1 :]
    middle = common(rest_old, rest_new)
    return new[start] == "," and rest_new[len(rest_new) - len(rest_old) + middle :] == rest_old[middle:]


def common(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@settings(max_examples=700, deadline=None)
@given(texts.files(), paths)
def test_only_the_one_key_changes_and_taking_it_back_gives_every_byte_back(text: str, keys: tuple[str, ...]) -> None:
    edited = set_or_refuse(text, "jsonc", keys)
    if edited is None:
        return
    assert texts.plain(edited.text) == with_key(texts.plain(text), keys, json.loads(json.dumps(SERVER), parse_int=str))
    assert list(texts.plain(edited.text))[: len(texts.plain(text))] == list(texts.plain(text))  # order
    if edited.undo.was is None and edited.undo.gap is None:
        assert is_insertion(text, edited.text)
    assert take_back(edited.text, "jsonc", keys, edited.undo) == text


@settings(max_examples=400, deadline=None)
@given(texts.files(texts.strict), paths)
def test_strict_json_stays_strict_json(text: str, keys: tuple[str, ...]) -> None:
    edited = set_or_refuse(text, "json", keys)
    if edited is None:
        return
    json.loads(edited.text.removeprefix("\ufeff"))
    assert edited.text.startswith("\ufeff") == text.startswith("\ufeff")
    newlines = set(re.findall(r"\r?\n", edited.text))
    assert newlines <= ({"\r\n"} if "\r\n" in text else {"\n"})
    assert take_back(edited.text, "json", keys, edited.undo) == text


@settings(max_examples=400, deadline=None)
@given(texts.files())
def test_what_the_user_edits_in_between_survives(text: str) -> None:
    one = set_or_refuse(text, "jsonc", ("mcp", "soc-deploy"))
    two = one and set_or_refuse(one.text, "jsonc", ("permission", "soc-deploy_*"), "ask")
    if two is None or one.undo.was is not None or two.undo.was is not None:
        return  # what was in the place of ours comes back as it was
    theirs = two.text.replace("user-1", "user-2") + "\n// a last word"
    theirs = take_back(theirs, "jsonc", ("permission", "soc-deploy_*"), two.undo)
    theirs = take_back(theirs, "jsonc", ("mcp", "soc-deploy"), one.undo)
    assert theirs == text.replace("user-1", "user-2") + "\n// a last word"


@settings(max_examples=300, deadline=None)
@given(texts.files(), st.sampled_from(["theirs", "a", ""]))
def test_a_neighbour_that_the_user_adds_stays_when_ours_goes(text: str, name: str) -> None:
    ours = set_or_refuse(text, "jsonc", ("mcp", "soc-deploy"))
    theirs = ours and set_or_refuse(ours.text, "jsonc", ("mcp", name), {"theirs": 1})
    if theirs is None or ours.undo.was is not None:
        return
    left = texts.plain(take_back(theirs.text, "jsonc", ("mcp", "soc-deploy"), ours.undo))
    assert left == with_key(texts.plain(text), ("mcp", name), {"theirs": "1"})


@settings(max_examples=300, deadline=None)
@given(texts.files(), paths)
def test_setting_a_key_twice_is_setting_it_once(text: str, keys: tuple[str, ...]) -> None:
    edited = set_or_refuse(text, "jsonc", keys)
    if edited is not None:
        assert plain(value_at(edited.text, "jsonc", keys)) == SERVER
        again = set_key(edited.text, "jsonc", keys, SERVER)
        assert texts.plain(again.text) == texts.plain(edited.text)


@settings(max_examples=300, deadline=None)
@given(texts.files(), st.data())
def test_a_torn_file_is_refused_with_a_position_or_still_means_what_it_says(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    torn = text[:at] + data.draw(st.sampled_from(["", "x", '"', "{", "}", ",", "/", "NaN", "\x00"])) + text[at + 1 :]
    edited, why = None, ""
    try:
        edited = set_key(torn, "jsonc", ("mcp", "soc-deploy"), SERVER)
    except Unreadable as refused:
        why = str(refused)
    except NotPossible:
        return
    assert re.match(r"line \d+, column \d+: ", why) if edited is None else edited
    assert edited is None or take_back(edited.text, "jsonc", ("mcp", "soc-deploy"), edited.undo) == torn


@pytest.mark.parametrize(
    ("text", "form", "why"),
    [
        ("", "jsonc", "line 1, column 1"),
        ("[]", "jsonc", "no object"),
        ('{"a": 1,}', "json", "line 1, column"),
        ('{\n  // note\n  "a": 1\n}', "json", "line 2, column 3"),
        ('{"a": [,]}', "jsonc", "line 1, column 8"),
        ("{,}", "jsonc", "line 1, column 2"),
        ('{"a": 1 /* never ends }', "jsonc", "without end"),
        ('{"a": NaN}', "jsonc", "NaN"),
        ('{"a": 1}\n{"b": 2}', "jsonc", "line 2, column 1"),
        ('{"a": ' + "[" * 100_000, "jsonc", "deep"),
    ],
)
def test_what_is_no_json_is_refused_and_says_where(text: str, form: Form, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        set_key(text, form, ("mcp", "soc-deploy"), SERVER)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"mcp": {"soc-deploy": 1, "soc-deploy": 2}}', "there 2 times"),
        ('{"mcp": {}, "mcp": {}}', "there 2 times"),
        ('{"mcp": "off"}', "mcp is no object"),
        ('{"mcp": [{"soc-deploy": 1}]}', "mcp is no object"),
        ('{"mcp": null}', "mcp is no object"),
    ],
)
def test_a_place_that_is_not_clear_is_refused(text: str, why: str) -> None:
    with pytest.raises(NotPossible, match=why):
        set_key(text, "jsonc", ("mcp", "soc-deploy"), SERVER)


def test_the_new_key_looks_like_its_neighbours() -> None:
    text = '{\r\n\t"mcp": {\r\n\t\t"other": {}, // theirs\r\n\t},\r\n}\r\n'
    assert set_key(text, "jsonc", ("mcp", "soc-deploy"), {"command": ["a", "b"]}).text == (
        '{\r\n\t"mcp": {\r\n\t\t"other": {}, // theirs\r\n\t\t"soc-deploy": {\r\n\t\t\t"command": ["a", "b"]\r\n\t\t},'
        "\r\n\t},\r\n}\r\n"
    )


def test_what_follows_in_the_line_does_not_fall_into_a_comment_when_ours_goes() -> None:
    ours = set_key('{\n  "mcp": {\n    "a": 1 // one\n  }\n}\n', "jsonc", ("mcp", "soc-deploy"), "x")
    theirs = ours.text.replace('"soc-deploy": "x"', '"soc-deploy": "x", "b": 2')
    left = take_back(theirs, "jsonc", ("mcp", "soc-deploy"), ours.undo)
    assert texts.plain(left) == {"mcp": {"a": "1", "b": "2"}}
    assert "// one\n" in left


def test_numbers_and_repeated_names_elsewhere_are_not_touched() -> None:
    text = '{"n": [1.0, 1e400, 123456789012345678901234567890], "twice": 1, "twice": 2}'
    assert set_key(text, "json", ("mcp",), 1).text == text[:-1] + ', "mcp": 1}'
