"""Watching a run: always an answer in time, always progress that rises. The clock is turned, not waited for."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.interfaces.doors import Progress, RunView
from soc_deploy_mcp.interfaces.mcp.following import BUDGET_S, Beats, follow
from tests.interfaces.fake_app import FakeApp
from tests.interfaces.mcp.chats import PEER
from tests.interfaces.mcp.test_outcome import RUN, view
from tests.interfaces.mcp.turned import clock, turned

CALLER = PEER.caller
PROMISED_S = 5


class Played(FakeApp):
    """A stream that is played as written: (seconds before it, done, total, stops) a row; then it ends or stalls."""

    def __init__(self, rows: list[tuple[float, int, int, bool]], ends: State | None, *, breaks: bool = False) -> None:
        super().__init__()
        self.rows, self.ends, self.breaks, self.over = rows, ends, breaks, False

    async def view(self, run: str, caller: Any) -> RunView:
        return view(self.ends if self.over and self.ends else State.RUNNING)

    async def follow(self, run: str, caller: Any, after: int = 0) -> AsyncIterator[Progress]:
        for number, (pause, done, total, stops) in enumerate(self.rows, 1):
            if number <= after:
                continue
            await asyncio.sleep(pause)
            self.over = number == len(self.rows)
            yield Progress(
                seq=number,
                at=Instant(0),
                text=f"row {number}",
                done=done,
                total=total,
                state=State.RUNNING,
                stops=stops,
            )
            if stops:
                return
        if self.breaks:
            raise DeployError("E_JOURNAL", "The journal cannot be read.")
        if self.ends is None:
            await asyncio.Event().wait()


Said = list[tuple[float, float, float | None, str]]


async def watched(app: Played, seconds: float = BUDGET_S, **how: Any) -> tuple[RunView, Said, float]:
    said: Said = []

    async def say(progress: float, total: float | None, text: str) -> None:
        said.append((clock(), progress, total, text))

    found = await follow(app, view(), CALLER, Beats(), say, seconds, **how)
    return found, said, clock()


ROWS = st.lists(
    st.tuples(st.sampled_from([0, 0.01, 1, 4.9, 5, 12, 100]), st.integers(0, 9), st.integers(0, 9), st.booleans()),
    max_size=12,
)


@settings(deadline=None)
@given(ROWS, st.sampled_from([None, State.SUCCEEDED, State.ROLLED_BACK]))
def test_any_stream_gives_rising_progress_and_an_answer_in_time(
    rows: list[tuple[float, int, int, bool]], ends: State | None
) -> None:
    _, said, took = turned(watched(Played(rows, ends)))
    assert took <= BUDGET_S + 0.001
    numbers = [progress for _, progress, _, _ in said]
    assert all(earlier < later for earlier, later in pairwise(numbers))
    assert all(total is None or progress <= total for _, progress, total, _ in said)
    times = [0.0, *(at for at, *_ in said), took]
    assert max(later - earlier for earlier, later in pairwise(times)) <= PROMISED_S


@settings(deadline=None)
@given(ROWS)
def test_a_run_that_ends_is_answered_at_once(rows: list[tuple[float, int, int, bool]]) -> None:
    found, _, took = turned(watched(Played([*rows, (0, 9, 9, True)], State.SUCCEEDED)))
    if sum(pause for pause, *_ in rows) < BUDGET_S - 3:
        assert found.state is State.SUCCEEDED
        assert took < BUDGET_S


def test_a_stop_that_is_history_does_not_end_the_watching() -> None:
    """The run waited for a person once; it was approved and runs."""
    found, said, _ = turned(watched(Played([(0, 1, 3, True), (1, 2, 3, False), (1, 3, 3, True)], State.SUCCEEDED)))
    assert found.state is State.SUCCEEDED
    assert [text for *_, text in said][-1] == "row 3"


def test_a_run_that_is_over_is_not_watched() -> None:
    async def over() -> float:
        app = Played([], None)
        app.over, app.ends = True, State.SUCCEEDED
        await follow(app, view(State.SUCCEEDED), CALLER, Beats(), _silent, BUDGET_S)
        return clock()

    assert turned(over()) == 0


async def _silent(progress: float, total: float | None, text: str) -> None:
    pass


def test_a_stalled_stream_is_answered_when_the_time_is_up() -> None:
    found, said, took = turned(watched(Played([], None)))
    assert (found.id, found.state, took) == (RUN, State.RUNNING, BUDGET_S)
    assert len(said) >= BUDGET_S / PROMISED_S


def test_a_stream_that_ends_too_early_is_asked_for_again_without_a_rush() -> None:
    _, said, took = turned(watched(Played([(0, 1, 3, False)], State.RUNNING)))
    assert took == BUDGET_S
    assert len(said) < BUDGET_S * 10


def test_what_breaks_the_stream_is_told_as_it_is() -> None:
    with pytest.raises(DeployError, match="journal"):
        turned(watched(Played([(1, 1, 3, False)], None, breaks=True)))


def test_a_flood_is_told_in_few_words() -> None:
    rows = [(0.001, number, 5000, False) for number in range(5000)] + [(0.001, 9, 9, True)]
    found, said, took = turned(watched(Played(rows, State.SUCCEEDED)))
    assert found.state is State.SUCCEEDED
    assert took == pytest.approx(5, abs=0.1)
    assert len(said) <= 5 * 5 + 3


def test_until_change_returns_when_the_run_moves_on() -> None:
    class Moving(Played):
        async def view(self, run: str, caller: Any) -> RunView:
            return view(step="canary 25 %" if clock() >= 7 else "", done=1)

    async def go() -> tuple[RunView, float]:
        rows = [(1.0, 1, 3, False)] * 30
        found = await follow(Moving(rows, None), view(done=1), CALLER, Beats(), _silent, 40, until_change=True)
        return found, clock()

    found, took = turned(go())
    assert found.step == "canary 25 %"
    assert 7 <= took < 9
