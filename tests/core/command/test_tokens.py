"""Clients quote differently; all lines read alike."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.command.tokens import DASHES_NOTE, QUOTES_NOTE, Unreadable, salvage, split

SHOP = Known(services=("shop",))
LINE = '/soc-deploy production --action deploy --version v2.1.0 --reason "it is time"'
PLAIN = parse(LINE, SHOP)


@pytest.mark.parametrize(
    "spelled",
    [
        f"<user-instruction>{LINE}</user-instruction>",
        f"  <user-instruction>\n{LINE}\n</user-instruction>\n",
        LINE.replace(" --", "\n  --"),
        LINE.replace(" --", "\t--"),
        shlex.quote(LINE),
        shlex.quote(shlex.quote(LINE)),
        f"/soc-deploy {shlex.quote(LINE)}",
        f"soc-deploy {shlex.quote(f'<user-instruction>{LINE}</user-instruction>')}",
        shlex.split(LINE),
        [LINE],
        ["/soc-deploy", LINE],
        ["soc-deploy", shlex.quote(LINE)],
        ["<user-instruction>production", *shlex.split(LINE)[2:-1], "it is time</user-instruction>"],
        LINE.replace("/soc-deploy", "/soc-deploy:soc-deploy"),
        LINE.replace("/soc-deploy", "$soc-deploy"),
        [*shlex.split(LINE), ""],
    ],
)
def test_the_same_line_however_it_arrives(spelled):
    assert parse(spelled, SHOP) == PLAIN


@pytest.mark.parametrize(
    ("spelled", "notes"),
    [
        (LINE.replace(" --", " —"), (DASHES_NOTE,)),
        (LINE.replace(" --", " –"), (DASHES_NOTE,)),
        (LINE.replace(" --", " –-"), (DASHES_NOTE,)),
        (LINE.replace('"', "“"), (QUOTES_NOTE,)),
        (LINE.replace('"it is time"', "‘it is time’"), (QUOTES_NOTE,)),
        (LINE.replace('"it is time"', "“it is time”"), (QUOTES_NOTE,)),
        (LINE.replace("production", "„production“"), (QUOTES_NOTE,)),
        (LINE.replace(" --action", "\u00a0--action"), ()),
        (["production", "—action", "deploy", "–version", "“v2.1.0”", "--reason", "it is time"], None),
    ],
)
def test_typographic_signs_are_repaired_and_said(spelled, notes):
    seen = parse(spelled, SHOP)
    assert seen.model_copy(update={"notes": ()}) == PLAIN
    assert notes is None or seen.notes == notes


@pytest.mark.parametrize("text", ["it’s time", "a — dash", "—dash", "he said “no”", "5 – 3", "‘quoted’"])
def test_typographic_signs_inside_plain_quotes_stay(text):
    seen = parse(f'prod --action rollback --reason "{text}"', SHOP)
    assert (seen.reason, seen.notes) == (text, ())


def test_an_apostrophe_between_letters_is_no_quote():
    assert parse("prod --action rollback --reason “it’s time”", SHOP).reason == "it’s time"
    assert parse("prod --action rollback --reason ‘it’s time’", SHOP).reason == "it’s time"
    assert parse("prod --action rollback --reason it’s", SHOP).reason == "it’s"


def test_a_third_layer_of_quotes_is_no_command_line():
    once = shlex.quote(LINE)
    assert len(split(shlex.quote(shlex.quote(once))).tokens) == 1


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="`$"), max_size=80))
def test_plain_text_splits_as_a_shell_splits_it(text):
    text = "word other " + text
    try:
        expected = tuple(shlex.split(text))
    except ValueError:
        with pytest.raises(Unreadable):
            split(text)
    else:
        assert split(text).tokens == expected


@pytest.mark.parametrize(
    ("text", "position"), [("a 'b", 3), ('a "b\\" c', 3), ("'it' \"", 6), ("“a” 'b' “c", 9), ("a 'b' c'", 8)]
)
def test_an_open_quote_is_shown_where_it_opens(text, position):
    with pytest.raises(Unreadable, match=f"at character {position}"):
        split(text)


def test_salvage_leaves_free_text_out():
    kept = salvage("/soc-deploy prod --reason 'production is \"down --action rollback ${{ x }}")
    assert kept == ("prod", "--action", "rollback")
