"""Near names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.command.suggest import distance, nearest

FLAGS = ("strategy", "version", "environment", "skip-tests", "skip-security", "service", "dry-run")
short = st.text("abc", max_size=6)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("stategy", ["strategy"]),
        ("verison", ["version"]),
        ("env", ["environment"]),
        ("dryrun", ["dry-run"]),
        ("skip-test", ["skip-tests"]),
        ("x", []),
        ("zebra", []),
        ("s" * 100, []),
    ],
)
def test_the_nearest(word, expected):
    assert nearest(word, FLAGS)[: len(expected) or 1] == expected


def test_at_most_two_and_the_preferred_first():
    assert nearest("skip-se", FLAGS, n=2)[0] == "skip-security"
    assert len(nearest("skip", FLAGS)) == 2
    assert nearest("abcdef", ["abcdxy", "abcdzz"], prefer=["abcdzz"])[0] == "abcdzz"


@pytest.mark.parametrize(
    ("a", "b", "edits"), [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("ca", "abc", 3), ("kitten", "sitting", 3)]
)
def test_the_distance(a, b, edits):
    assert distance(a, b) == distance(b, a) == edits


@given(short, short, short)
def test_the_distance_is_bounded_and_symmetric(a, b, c):
    assert distance(a, b) == distance(b, a) <= max(len(a), len(b))
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, b, most=2) == min(distance(a, b), 3)
