"""Durations and targets as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.config.quantities import duration_text, limit, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("15m", 900),
        ("24h", 86400),
        ("90d", 7776000),
        ("1500ms", 1.5),
        ("0.5s", 0.5),
        (" 5s ", 5),
        ("0s", 0),
    ],
)
def test_durations(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["5", "", "s", "5 s", "-5s", "5S", "5sec", "1h30m", "∞s", "5.s", None, True, 5])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="with a unit"):
        seconds(text)


@given(st.floats(0, 1e7, allow_nan=False).map(lambda value: round(value, 3)))
def test_a_duration_is_written_so_that_it_reads_the_same(value):
    assert seconds(duration_text(value)) == pytest.approx(value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (86400, "1d"),
        (3600, "1h"),
        (900, "15m"),
        (90, "90s"),
        (0, "0s"),
        (0.5, "0.5s"),
        (1234567, "1234567s"),
        (10, "10s"),
    ],
)
def test_the_shortest_spelling(value, text):
    assert duration_text(value) == text


def test_targets():
    assert limit("<200ms", ("ms", "s")) == 0.2
    assert limit("< 1.5s", ("ms", "s")) == 1.5
    assert limit("<0.1%", ("%",)) == pytest.approx(0.001)


@pytest.mark.parametrize("text", ["200ms", ">200ms", "<200", "<ms", "<=200ms", 200, None, "<0.1%"])
def test_what_is_no_target(text):
    with pytest.raises(ValueError, match="a target such as <200ms"):
        limit(text, ("ms", "s"))
