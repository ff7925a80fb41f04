"""A person's yes, asked in the client: no way round it, no second use, and no answer is no."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, ElicitResult, InputRequiredResult

from soc_deploy_mcp.interfaces.mcp.following import BUDGET_S
from tests.interfaces.fake_app import FakeApp, Script
from tests.interfaces.mcp.chats import ERAS, LINE, Chat, chat
from tests.interfaces.mcp.turned import clock, turned

YES = {"approve": True, "reason": "reviewed"}
Answering = Callable[..., Awaitable[ElicitResult]]


class Person:
    """Answers what the client is asked."""

    def __init__(self, action: str, content: dict[str, Any] | None = None, after: float = 0) -> None:
        self.action, self.content, self.after, self.asked = action, content, after, []

    async def __call__(self, _context: Any, params: Any) -> ElicitResult:
        self.asked.append(params.message)
        await anyio.sleep(self.after)
        if self.action == "raises":
            raise RuntimeError("the client broke")
        return ElicitResult(action=self.action, content=self.content)  # type: ignore[arg-type]


def deployed(person: Person | None, era: str, **script: Any) -> tuple[dict[str, Any], FakeApp, float]:
    """One call of a run that waits, answered by `person`."""

    async def go() -> tuple[dict[str, Any], FakeApp, float]:
        app = FakeApp(Script(waits=True, **script))
        told: dict[str, Any] = {}
        try:
            async with chat(app, era, elicitation_callback=person) as it:
                told = await it.call("soc_deploy", instruction=LINE)
        except BaseExceptionGroup:  # a client whose callback raises gets its own error back on the modern era
            assert person is not None
            assert person.action == "raises"
        return told, app, clock()

    return turned(go())


def run_of(app: FakeApp) -> Any:
    return next(iter(app.fakes.values()))


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("person", "state", "effects"),
    [
        (Person("accept", YES), "SUCCEEDED", 1),
        (Person("accept", {"approve": False}), "FAILED_NO_CHANGE", 0),
        (Person("accept", {"approve": "true"}), "WAITING_APPROVAL", 0),
        (Person("accept", {}), "WAITING_APPROVAL", 0),
        (Person("accept"), "WAITING_APPROVAL", 0),
        (Person("decline", YES), "WAITING_APPROVAL", 0),
        (Person("cancel"), "WAITING_APPROVAL", 0),
        (Person("raises"), "WAITING_APPROVAL", 0),
        (None, "WAITING_APPROVAL", 0),
    ],
    ids=["yes", "no", "text", "empty", "bare", "decline", "cancel", "raises", "no-channel"],
)
def test_only_a_yes_is_a_yes(era: str, person: Person | None, state: str, effects: int) -> None:
    told, app, _ = deployed(person, era)
    run = run_of(app)
    assert (run.state, run.effects) == (state, effects)
    if told and state == "WAITING_APPROVAL":
        assert told["report_markdown"].startswith("**NOT DEPLOYED: waits for approval**")
        assert told["next"][0] == f"soc-deploy approve {run.id}"


@pytest.mark.parametrize("era", ERAS)
def test_where_an_answer_in_the_client_is_not_enough_nobody_is_asked(era: str) -> None:
    person = Person("accept", YES)
    told, app, _ = deployed(person, era, elicit=False)
    assert person.asked == []
    assert (told["state"], run_of(app).effects) == ("waiting_approval", 0)


@pytest.mark.parametrize("era", ERAS)
def test_the_question_names_run_and_plan(era: str) -> None:
    person = Person("decline")
    _, app, _ = deployed(person, era)
    run = run_of(app)
    assert run.id in person.asked[0]
    assert len(person.asked) == 1


def test_a_slow_person_leaves_the_run_waiting_and_the_client_in_time() -> None:
    async def go() -> None:
        async with chat(FakeApp(Script(waits=True)), "legacy", elicitation_callback=Person("accept", YES, 3600)) as it:
            told = await it.call("soc_deploy", instruction=LINE)
            assert clock() <= BUDGET_S
            assert (told["state"], run_of(it.app).effects) == ("waiting_approval", 0)

    turned(go())


def test_progress_goes_on_while_a_person_thinks() -> None:
    async def go() -> None:
        async with chat(FakeApp(Script(waits=True)), "legacy", elicitation_callback=Person("accept", YES, 30)) as it:
            assert (await it.call("soc_deploy", instruction=LINE))["state"] == "succeeded"
            waits = [progress for progress, _, text in it.progress if text == "waiting for an answer"]
            assert len(waits) >= 30 // 5
            numbers = [progress for progress, *_ in it.progress]
            assert numbers == sorted(set(numbers))

    turned(go())


def test_a_yes_given_elsewhere_ends_the_asking() -> None:
    async def go() -> None:
        app = FakeApp(Script(waits=True))
        async with chat(app, "legacy", elicitation_callback=Person("accept", {"approve": False}, 3600)) as it:
            call = asyncio.ensure_future(it.call("soc_deploy", instruction=LINE))
            await asyncio.sleep(10)
            run = run_of(app)
            await app.approve(run.id, dict(app.calls)["begin"], "terminal")
            assert (await call)["state"] == "succeeded"
            assert run.effects == 1
            assert clock() < 15

    turned(go())


# --- the modern era by hand: what a client could send instead


async def first_round(it: Chat) -> InputRequiredResult:
    asked = await it.client.session.call_tool("soc_deploy", {"instruction": LINE}, allow_input_required=True)
    assert isinstance(asked, InputRequiredResult)
    return asked


async def again(it: Chat, state: str | None, content: dict[str, Any] | None = None, **arguments: Any) -> Any:
    answer = ElicitResult(action="accept", content=content or YES)
    return await it.client.session.call_tool(
        "soc_deploy",
        {"instruction": LINE, **arguments},
        input_responses={"approval": answer},
        request_state=state,
        allow_input_required=True,
    )


def asking_client() -> Person:
    return Person("decline")  # declares the capability; never called when rounds are driven by hand


async def test_an_answer_without_a_question_is_a_new_question() -> None:
    async with chat(FakeApp(Script(waits=True)), elicitation_callback=asking_client()) as it:
        assert isinstance(await again(it, None), InputRequiredResult)
        assert run_of(it.app).effects == 0


async def test_a_forged_state_and_changed_arguments_are_refused() -> None:
    async with chat(FakeApp(Script(waits=True)), elicitation_callback=asking_client()) as it:
        asked = await first_round(it)
        assert asked.request_state is not None
        run = run_of(it.app)
        for state, more in (
            (f"{run.id} {run.question}", {}),
            (asked.request_state[:-2] + "xx", {}),
            (asked.request_state, {"instruction": LINE + " --auto-rollback"}),
        ):
            with pytest.raises(MCPError):
                await again(it, state, **more)
        assert run.effects == 0


async def test_one_answer_sent_twice_is_used_once() -> None:
    async with chat(FakeApp(Script(waits=True)), elicitation_callback=asking_client()) as it:
        asked = await first_round(it)
        told = await asyncio.gather(*(again(it, asked.request_state) for _ in range(50)))
        assert {answer.structured_content["state"] for answer in told} == {"succeeded"}
        assert len(it.app.fakes) == 1
        assert (run_of(it.app).effects, len(it.app.used)) == (1, 1)


async def test_an_answer_that_comes_after_the_run_is_over_starts_no_other() -> None:
    async with chat(FakeApp(Script(waits=True)), elicitation_callback=asking_client()) as it:
        asked = await first_round(it)
        run = run_of(it.app)
        await it.app.approve(run.id, dict(it.app.calls)["begin"], "terminal")
        while run.state != "SUCCEEDED":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        told = await again(it, asked.request_state, {"approve": False})
        assert isinstance(told, CallToolResult)
        assert told.structured_content["state"] == "succeeded"
        assert len(it.app.fakes) == 1


MOVES = st.lists(
    st.sampled_from(["ask", "yes", "no", "replay", "stateless", "forged", "terminal", "abort"]),
    min_size=1,
    max_size=10,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MOVES)
def test_however_answers_replays_and_joins_mix_a_question_is_spent_once_and_the_gate_holds(moves: list[str]) -> None:
    async def go() -> None:
        async with chat(FakeApp(Script(waits=True)), elicitation_callback=asking_client()) as it:
            states: list[str | None] = []
            approvals: dict[str, int] = {}
            for move in moves:
                open_before = {run.id: run.question for run in it.app.fakes.values() if run.question}
                result = await _move(it, move, states)
                if isinstance(result, InputRequiredResult):
                    states.append(result.request_state)
                for run in it.app.fakes.values():
                    if run.effects and run.id in open_before:
                        approvals[run.id] = approvals.get(run.id, 0) + 1
                        assert move in ("yes", "replay", "terminal")
            assert all(run.effects <= 1 for run in it.app.fakes.values())
            assert all(count == 1 for count in approvals.values())
            assert sum(run.effects for run in it.app.fakes.values()) <= len(it.app.used)

    turned(go())


async def _move(it: Chat, move: str, states: list[str | None]) -> Any:
    begin = dict(it.app.calls).get("begin")
    last = next(reversed(it.app.fakes.values()), None)
    if move == "ask":
        return await again(it, None)
    if move == "stateless":
        return await again(it, None, YES)
    if move in ("yes", "no", "replay") and states:
        return await again(it, states[-1] if move != "replay" else states[0], {"approve": move != "no"})
    if move == "forged" and last is not None:
        with pytest.raises(MCPError):
            await again(it, f"{last.id} {last.question}")
    if move == "terminal" and last is not None and last.question and begin is not None:
        await it.app.approve(last.id, begin, "terminal")
        await asyncio.sleep(1)
    if move == "abort" and last is not None and begin is not None:
        await it.app.control(last.id, "abort", begin)
    return None
