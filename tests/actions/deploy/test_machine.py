"""Who may ask what of a run in which state: the whole table, state by state."""

import pytest

from soc_deploy_mcp.actions.deploy.machine import FOLLOWS, RESUMABLE, Standing, may_follow, refusal, standing
from soc_deploy_mcp.core.event import Finished, GoingBack, Moved, State, VerdictGiven
from soc_deploy_mcp.core.ids import StepKey
from tests.core.report.journals import opened, rows

S = State
VERBS = ("pause", "resume", "promote", "abort", "approve", "reject")
# what each state takes; everything else is refused with a reason
TAKES: dict[State, set[str]] = {
    S.DRAFT: {"abort"},
    S.PLANNED: {"abort"},
    S.PREFLIGHT: {"abort", "approve", "reject"},
    S.WAITING_APPROVAL: {"abort", "approve", "reject"},
    S.QUEUED: {"abort", "approve", "reject"},
    S.RUNNING: {"abort", "pause", "promote"},
    S.PROMOTING: {"abort", "pause", "promote"},
    S.BAKING: {"abort", "pause", "promote"},
    S.PAUSED: {"abort", "resume", "promote"},
    S.ABORTING: {"abort"},
    S.SUCCEEDED: set(),
    S.DRY_RUN: set(),
    S.ROLLED_BACK: set(),
    S.FAILED_NO_CHANGE: set(),
    S.NEEDS_OPERATOR: set(),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", VERBS)
def test_every_state_takes_or_refuses_every_verb(state: State, verb: str) -> None:
    refused = refusal(Standing(state, "operator"), verb)  # type: ignore[arg-type]
    assert (refused == "") is (verb in TAKES[state]), refused


def test_r01_abort_is_taken_in_every_state_that_is_not_over() -> None:
    for state in State:
        assert (refusal(Standing(state), "abort") == "") is not state.terminal


def test_nothing_goes_forward_past_a_reject() -> None:
    for state in (S.RUNNING, S.PROMOTING, S.BAKING, S.PAUSED):
        where = Standing(state, "operator", rejected="REJECT errors")
        assert "only the way back" in refusal(where, "promote")
        assert refusal(where, "resume")
        assert refusal(where, "abort") == ""


@pytest.mark.parametrize("reason", sorted(RESUMABLE | {"health_failed", "approval"}))
def test_only_some_pauses_end_by_a_resume(reason: str) -> None:
    assert (refusal(Standing(S.PAUSED, reason), "resume") == "") is (reason in RESUMABLE)


@pytest.mark.parametrize("reason", sorted(RESUMABLE | {"health_failed", "approval"}))
def test_a_promote_ends_no_pause_that_a_resume_does_not_end(reason: str) -> None:
    assert (refusal(Standing(S.PAUSED, reason), "promote") == "") is (reason in RESUMABLE)


def test_terminal_states_have_no_successor_and_all_others_can_end() -> None:
    for state in State:
        assert (state not in FOLLOWS) is state.terminal
    reached, grew = {s for s in State if s.terminal}, True
    while grew:
        grew = False
        for state in FOLLOWS:
            if state not in reached and any(may_follow(state, then) for then in reached):
                reached.add(state)
                grew = True
    assert reached == set(State)


def test_where_a_run_stands_is_folded_from_its_rows() -> None:
    verdict = VerdictGiven(step=StepKey("canary/5"), word="REJECT", reason="worse", metric="errors", weight=5)
    where = standing(rows((0, opened()), (1, Moved(state=S.RUNNING)), (2, verdict)))
    assert (where.state, where.rejected, where.going_back) == (S.RUNNING, "REJECT errors", False)
    back = GoingBack(code="REJECT errors", why="worse", by="judge")
    where = standing(rows((0, opened()), (1, Moved(state=S.RUNNING)), (2, back), (3, Moved(state=S.ABORTING))))
    assert where.going_back
    assert refusal(where, "pause")
    assert refusal(where, "abort") == ""


def test_a_finished_row_ends_a_run_that_never_said_so_otherwise() -> None:
    where = standing(rows((0, opened()), (1, Finished(state=S.NEEDS_OPERATOR))))
    assert where.state is S.NEEDS_OPERATOR
