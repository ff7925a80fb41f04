"""Several tests on one alpha: what each has found counts with its share only."""

from math import inf, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.actions.deploy.judge.groups import leader

ALPHA = 0.01
NEEDED = -log(ALPHA)


@pytest.mark.parametrize("share", [0.5, 0.175, 0.05])
def test_a_test_must_find_more_the_less_of_alpha_it_has(share: float) -> None:
    assert leader([("errors", share, NEEDED - log(share) + 1e-9)], ALPHA) == "errors"
    assert leader([("errors", share, NEEDED - log(share) - 1e-6)], ALPHA) == ""


def test_two_tests_fire_together_where_neither_does_alone() -> None:
    half = ("errors", 0.5, NEEDED + 1e-9), ("latency", 0.5, NEEDED + 2e-9)
    assert leader(half, ALPHA) == "latency"
    assert leader(half[:1], ALPHA) == ""


def test_who_contributes_most_is_named_not_who_is_most_certain() -> None:
    assert leader([("certain", 0.01, NEEDED + 5), ("heavy", 0.6, NEEDED + 2)], ALPHA) == "heavy"


def test_without_tests_or_evidence_nothing_fires() -> None:
    assert leader([], ALPHA) == ""
    assert leader([("errors", 1.0, -inf)], ALPHA) == ""


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(-50, 20)), min_size=1, max_size=6), st.floats(0, 9))
def test_more_evidence_never_silences(found: list[tuple[float, float]], more: float) -> None:
    shares = sum(share for share, _ in found)
    bets = [(str(i), share / shares, ln_e) for i, (share, ln_e) in enumerate(found)]
    stronger = [(name, share, ln_e + more) for name, share, ln_e in bets]
    assert leader(stronger, ALPHA) or not leader(bets, ALPHA)
