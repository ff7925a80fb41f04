"""What a shim remembers, so that a chat survives its daemon."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.interfaces.daemon.memory import LOST, Memory


def line(**message: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


INITIALIZE, INITIALIZED = line(id=0, method="initialize", params={}), line(method="notifications/initialized")


def met() -> Memory:
    """A session of the handshake era that has begun."""
    memory = Memory()
    memory.sent(INITIALIZE)
    assert memory.received(line(id=0, result={}))
    memory.sent(INITIALIZED)
    return memory


def errors(lines: list[bytes]) -> dict[Any, int]:
    return {json.loads(one)["id"]: json.loads(one)["error"]["code"] for one in lines}


def test_open_requests_are_answered_with_an_error_when_the_daemon_is_lost() -> None:
    memory = met()
    for number in (1, 2, "three"):
        memory.sent(line(id=number, method="tools/call"))
    memory.received(line(id=2, result={}))
    assert errors(memory.lost()) == {1: LOST, "three": LOST}
    assert memory.lost() == []


def test_the_next_daemon_hears_the_handshake_again_and_the_client_does_not_see_the_second_answer() -> None:
    memory = met()
    memory.lost()
    assert memory.replay() == INITIALIZE + INITIALIZED
    assert not memory.received(line(id=0, result={}))
    assert memory.received(line(id=0, result={}))


def test_an_unanswered_initialize_is_sent_again_and_its_answer_reaches_the_client() -> None:
    memory = Memory()
    memory.sent(INITIALIZE)
    assert memory.lost() == []
    assert memory.opening() == INITIALIZE
    assert memory.replay() == b""
    assert memory.received(line(id=0, result={}))


def test_the_modern_era_has_nothing_to_say_again() -> None:
    memory = Memory()
    memory.sent(line(id=1, method="server/discover"))
    assert errors(memory.lost()) == {1: LOST}
    assert (memory.opening(), memory.replay()) == (b"", b"")


def test_a_cancelled_request_gets_no_error_later() -> None:
    memory = met()
    memory.sent(line(id=5, method="tools/call"))
    memory.sent(line(method="notifications/cancelled", params={"requestId": 5}))
    memory.sent(line(method="notifications/cancelled", params=[5]))
    assert memory.lost() == []


def test_a_daemons_own_question_is_no_answer() -> None:
    memory = met()
    memory.sent(line(id=1, method="tools/call"))
    assert memory.received(line(id=1, method="elicitation/create", params={}))
    assert errors(memory.lost()) == {1: LOST}


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=40) | st.sampled_from([INITIALIZE, INITIALIZED]))))
def test_no_line_of_either_side_breaks_it(lines: list[tuple[bool, bytes]]) -> None:
    memory = Memory()
    for from_client, text in lines:
        memory.sent(text) if from_client else memory.received(text)
    memory.lost()
    memory.replay()


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_exactly_the_unanswered_are_told(asked: set[int], answered: set[int]) -> None:
    memory = Memory()
    for number in asked:
        memory.sent(line(id=number, method="ping"))
    for number in answered:
        memory.received(line(id=number, result={}))
    assert set(errors(memory.lost())) == asked - answered
