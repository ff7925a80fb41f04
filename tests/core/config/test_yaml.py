"""YAML by the rules of version 1.2, with line numbers, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.config import yaml
from soc_deploy_mcp.core.config.yaml import YamlError


def value(text):
    return yaml.read(f"key: {text}").data["key"]


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "On", "OFF", "y", "16:00", "1:30:00", "2026-01-30", "0o14"])
def test_words_stay_words(word):
    assert value(word) == word


@pytest.mark.parametrize("text", ["0042", "1_000", "2026_01", "1.2.3", "v1.0.0", "+-1", ".", "1e", "0x1F", "=", "<<"])
def test_what_is_no_plain_number_stays_text(text):
    assert value(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("5", 5), ("-5", -5), ("+5", 5), ("0", 0), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0)),
        *(("true", True), ("TRUE", True), ("False", False), ("null", None), ("~", None), ("", None)),
        *(('"5"', "5"), ("'true'", "true"), ("!!str 5", "5"), ("!!int 5", 5)),
    ],
)
def test_scalars_of_the_core_schema(text, expected):
    seen = value(text)
    assert seen == expected
    assert type(seen) is type(expected)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: 2\na: 3", 3, "the key a stands twice"),
        ("a: 1\nb: [1,", 2, "flow"),
        ("a: 1\n\tb: 2", 2, ""),
        ("a: *nobody", 1, "undefined alias"),
        ("- a", 1, "a mapping of keys"),
        ("just words", 1, "a mapping of keys"),
        ("a: 1\n---\nb: 2", 2, "document"),
        ("a: 1\n? [b]\n: 2", 2, "a key must be a word"),
        ("a: 1\nb: \x07", 2, "does not allow"),
        ("a: !!int word", 1, "'word' is no int"),
        ("a: !!float word", 1, "is no float"),
        ("a: !!bool maybe", 1, "is no bool"),
        ("a: !!python/object/apply:os.system [ls]", 1, "is not used"),
        ("a: !!set {b: }", 1, "is not used"),
        ("a: !!binary aGk=", 1, "is not used"),
        ("a:\n  b: !mine x", 2, "is not used"),
        ("a: " + "9" * 5000, 1, "is no int"),
        ("a: &a [*a]", 1, "nested too deeply"),
        ("[" * 5000, 1, "nested too deeply"),
        ("{a: " * 30 + "1" + "}" * 30, 1, "nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_shown_with_its_line(text, line, says):
    with pytest.raises(YamlError) as caught:
        yaml.read(text)
    assert caught.value.line == line
    assert says in caught.value.problem


def test_aliases_of_aliases_do_not_grow_without_end():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(YamlError, match="too large"):
        yaml.read("\n".join(levels))


def test_an_anchor_is_repeated():
    assert yaml.read("a: &x {b: 1}\nc: *x").data == {"a": {"b": 1}, "c": {"b": 1}}


def test_lines_of_keys_items_and_missing_keys():
    document = yaml.read("a:\n  b:\n    - x\n    - {c: 1,\n       d: 2}\n\ne: 1\n")
    assert document.line(("a", "b")) == 2
    assert document.line(("a", "b", 1)) == 4
    assert document.line(("a", "b", 1, "d")) == 5
    assert document.line(("a", "b", 1, "zzz")) == 4
    assert document.line(("a", "zzz")) == 1
    assert document.line(("e",)) == 7
    assert document.line(("zzz",)) == 1


def test_an_empty_text_is_an_empty_mapping():
    assert yaml.read("").data == yaml.read("# only a comment\n").data == {}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        document = yaml.read(text)
    except YamlError as error:
        assert 1 <= error.line <= len(text) + 1  # noqa: PT017
    else:
        assert isinstance(document.data, dict)
