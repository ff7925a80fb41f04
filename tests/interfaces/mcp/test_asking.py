"""When a client may be asked, and what counts as a yes."""

from types import SimpleNamespace
from typing import Any

import pytest
from mcp.types import ClientCapabilities, ElicitationCapability, ElicitResult
from pydantic import TypeAdapter

from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.interfaces.mcp import asking
from soc_deploy_mcp.interfaces.mcp.asking import Approve, Reply, can_ask, reply_in
from tests.interfaces.mcp.test_outcome import view, waiting

WAITS = view(State.WAITING_APPROVAL, waiting=waiting())


@pytest.mark.parametrize(
    ("declared", "modern", "back_channel", "asked"),
    [
        (None, True, True, False),
        ({}, True, False, True),
        ({"form": {}}, True, False, True),
        ({"form": {}, "url": {}}, True, False, True),
        ({"url": {}}, True, True, False),
        ({}, False, True, True),
        ({}, False, False, False),
        ({"url": {}}, False, True, False),
    ],
)
def test_who_can_show_a_form(declared: dict[str, Any] | None, modern: bool, back_channel: bool, asked: bool) -> None:
    elicitation = None if declared is None else ElicitationCapability.model_validate(declared)
    found = can_ask(ClientCapabilities(elicitation=elicitation), modern=modern, back_channel=back_channel)
    assert found is asked


def test_a_client_that_declared_nothing_is_not_asked() -> None:
    assert not can_ask(None, modern=True, back_channel=True)


def call(state: str | None, *, answer: object = None) -> Any:
    responses = None if answer is None else {"approval": answer}
    return SimpleNamespace(request_state=state, input_responses=responses, protocol_version="2026-07-28")


STATE = asking.state_of(WAITS, "q")
YES = ElicitResult(action="accept", content={"approve": True, "reason": "fine"})


@pytest.mark.parametrize("state", [None, "", STATE + "x", asking.state_of(WAITS, "other"), "run_0 q"])
def test_an_answer_to_another_question_or_to_none_is_no_answer(state: str | None) -> None:
    assert reply_in(call(state, answer=YES), WAITS, waiting()) is None


def test_the_answer_to_this_question_counts() -> None:
    assert reply_in(call(STATE, answer=YES), WAITS, waiting()) == Reply(Approve(approve=True, reason="fine"))


@pytest.mark.parametrize(
    "answer",
    [
        ElicitResult(action="decline"),
        ElicitResult(action="cancel"),
        ElicitResult(action="decline", content={"approve": True}),
        ElicitResult(action="accept"),
        ElicitResult(action="accept", content={}),
        ElicitResult(action="accept", content={"approve": "true"}),
        ElicitResult(action="accept", content={"approve": 1}),
        ElicitResult(action="accept", content={"approve": None}),
        ElicitResult(action="accept", content={"approve": True, "reason": "x" * 201}),
        "accept",
        {"action": "accept", "content": {"approve": True}},
        None,
    ],
)
def test_everything_else_is_not_approved(answer: object) -> None:
    assert reply_in(call(STATE, answer=answer), WAITS, waiting()) == Reply(None)


def test_the_form_is_flat_as_clients_demand_and_says_what_is_read() -> None:
    from mcp.types import ElicitRequestFormParams

    TypeAdapter(ElicitRequestFormParams).validate_python({"message": "?", "requestedSchema": asking.SCHEMA})
    assert {member["type"] for member in asking.SCHEMA["properties"].values()} <= {"string", "boolean", "number"}
    assert set(asking.SCHEMA["properties"]) == set(Approve.model_fields)


def test_the_question_names_its_run_and_plan_and_no_time() -> None:
    first, second = asking.question(WAITS, waiting()), asking.question(WAITS, waiting())
    assert first == second
    assert first.request_state == STATE
