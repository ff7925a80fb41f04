"""What follows from what was seen: the table of auto-rollback, and when an observation ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.actions.deploy.conclude import ENV_GRACE_S, NO_DATA_GRACE_S, Watch, conclusion
from soc_deploy_mcp.actions.deploy.decide import Again, GoBack, GoOn, Outcome, Pause, after
from soc_deploy_mcp.actions.deploy.judge import Verdict, Word
from soc_deploy_mcp.core.config.settings import DeploySettings

SETTINGS = DeploySettings()
BAD = Outcome(end="bad", code="REJECT errors", why="worse")
NO_DATA = Outcome(end="no_data", code="NO_DATA stale", why="no data")
HOLD = Outcome(end="hold", code="HOLD", why="no decision")


def move(outcome: Outcome, auto: bool = True, extended: bool = False, **settings: str) -> object:
    return after(outcome, SETTINGS.model_copy(update=settings), auto_rollback=auto, extended=extended)


def test_with_auto_rollback_a_bad_release_goes_back_at_once() -> None:
    assert move(BAD) == GoBack("REJECT errors", "worse", "judge")
    assert move(NO_DATA) == GoBack("NO_DATA stale", "no data", "judge")


def test_without_it_a_person_decides_and_the_traffic_retreats_when_nobody_does() -> None:
    assert move(BAD, auto=False) == Pause("health_failed", "REJECT errors: worse", SETTINGS.decision_timeout)
    assert move(NO_DATA, auto=False) == Pause("no_data", "no data", SETTINGS.decision_timeout)


def test_a_spent_budget_does_not_wait_for_the_decision() -> None:
    spent = move(Outcome(end="bad", code="BUDGET errors", why="cost cap"), auto=False)
    assert isinstance(spent, Pause)
    assert spent.retreat_after == 0.0


@pytest.mark.parametrize("auto", [True, False])
def test_a_sick_environment_never_blames_the_release(auto: bool) -> None:
    seen = move(Outcome(end="env_unhealthy", why="both sick"), auto=auto)
    assert isinstance(seen, Pause)
    assert (seen.reason, seen.retreat_after) == ("env_unhealthy", 0.0)


def test_r10_inconclusive_never_goes_forward_and_always_has_an_exit() -> None:
    assert move(HOLD) == Pause("inconclusive", "no decision", None)
    assert isinstance(move(HOLD, inconclusive="rollback"), GoBack)
    assert isinstance(move(HOLD, inconclusive="extend"), Again)
    assert isinstance(move(HOLD, inconclusive="extend", extended=True), Pause)


@given(st.sampled_from(["accepted", "looked", "promoted"]), st.booleans())
def test_only_these_three_go_on(end: str, auto: bool) -> None:
    assert move(Outcome(end=end), auto=auto) == GoOn()  # type: ignore[arg-type]


@given(
    st.sampled_from(["bad", "no_data", "env_unhealthy", "hold", "drift", "dead_man", "resumed", "expired"]),
    st.booleans(),
    st.sampled_from(["hold", "extend", "rollback"]),
)
def test_nothing_else_does(end: str, auto: bool, inconclusive: str) -> None:
    assert move(Outcome(end=end), auto=auto, inconclusive=inconclusive) != GoOn()  # type: ignore[arg-type]


# --- the end of an observation


def said(word: Word, reason: str = "", since: float | None = None) -> Verdict:
    return Verdict(word, reason, "errors", since)


def ended(purpose: str, verdict: Verdict, now: float, sick: float | None = None, seen: int = 100) -> str:
    watch = Watch(purpose, 0.0, 10.0, 100.0)  # type: ignore[arg-type]
    outcome = conclusion(watch, verdict, sick, seen, now)
    return outcome.end if outcome else ""


@pytest.mark.parametrize("purpose", ["accept", "look", "bake", "hold"])
@pytest.mark.parametrize("word", [Word.REJECT, Word.ABSOLUTE, Word.CRASH, Word.BUDGET])
def test_r12_a_failure_ends_every_observation_also_a_pause(purpose: str, word: Word) -> None:
    assert ended(purpose, said(word), 1.0) == "bad"
    assert ended(purpose, said(Word.NO_DATA, "canary_silent", 1.0), 1.0) == "bad"


@pytest.mark.parametrize("purpose", ["accept", "look", "bake", "hold"])
def test_missing_data_has_a_grace_and_then_ends_it(purpose: str) -> None:
    assert ended(purpose, said(Word.NO_DATA, "stale", 0.0), NO_DATA_GRACE_S - 1) == ""
    assert ended(purpose, said(Word.NO_DATA, "stale", 0.0), NO_DATA_GRACE_S) == "no_data"


def test_no_traffic_is_no_failure_and_no_success_either() -> None:
    silent = said(Word.NO_DATA, "no_traffic", 0.0)
    assert ended("accept", silent, 60.0) == ""
    assert ended("look", silent, 60.0) == ""
    assert ended("accept", silent, 100.0) == "hold"
    assert ended("look", silent, 100.0) == "hold"
    assert ended("bake", silent, 100.0) == "hold"


def test_both_sick_is_held_for_a_while() -> None:
    sick = said(Word.ENV_UNHEALTHY)
    assert ended("accept", sick, 30.0, sick=0.0) == ""
    assert ended("accept", sick, ENV_GRACE_S, sick=0.0) == "env_unhealthy"


def test_acceptance_is_waited_for_only_where_it_is_asked_for() -> None:
    assert ended("accept", said(Word.ACCEPT), 1.0) == "accepted"
    assert ended("accept", said(Word.CONTINUE), 50.0) == ""
    assert ended("accept", said(Word.CONTINUE), 100.0) == "hold"
    assert ended("look", said(Word.CONTINUE), 9.0) == ""
    assert ended("look", said(Word.CONTINUE), 10.0) == "looked"
    assert ended("hold", said(Word.ACCEPT), 99.0) == ""
    assert ended("hold", said(Word.ACCEPT), 100.0) == "expired"


def test_a_batch_that_nobody_asked_anything_of_is_not_gone_past() -> None:
    assert ended("look", said(Word.CONTINUE), 50.0, seen=0) == ""
    assert ended("look", said(Word.CONTINUE), 100.0, seen=0) == "hold"


@given(
    st.sampled_from(["accept", "look", "bake"]),
    st.sampled_from(list(Word)),
    st.sampled_from(["", "no_traffic", "stale", "canary_silent"]),
    st.none() | st.floats(0, 200),
    st.floats(0, 200),
    st.integers(0, 5),
)
def test_no_step_forward_without_data(
    purpose: str, word: Word, reason: str, since: float | None, now: float, seen: int
) -> None:
    """I7: whatever was said, an observation does not end well while nothing is known."""
    if word in (Word.NO_DATA, Word.ENV_UNHEALTHY):
        assert ended(purpose, said(word, reason, since), now, seen=seen) not in ("accepted", "looked", "promoted")
