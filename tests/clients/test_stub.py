"""The stub model itself: a stub that is wrong would prove nothing about the clients."""

import gzip
import json
import urllib.request
from typing import Any

import pytest

from tests.clients.conversation import Call, Conversation, Say
from tests.clients.policy import FINAL, next_move, read
from tests.clients.stub import Model, model

TOOLS = ["bash", "soc-deploy_deploy", "soc-deploy_soc_deploy", "soc-deploy_status"]
RUN = "run_0123456789abcdef0123456789abcdef"


def text(state: str, then: str = "nothing") -> str:
    return f"# Report\n\n--- soc-deploy: state={state} run={RUN} next: {then}"


@pytest.mark.parametrize(
    ("chat", "move"),
    [
        (Conversation(["make a title"], []), Say("A deployment")),
        (
            Conversation(["x <user-instruction>prod  --action deploy</user-instruction>"], TOOLS),
            Call("soc-deploy_soc_deploy", {"instruction": "prod  --action deploy"}),
        ),
        (
            Conversation(["<user-instruction>a</user-instruction><user-instruction>b</user-instruction>"], TOOLS),
            Call("soc-deploy_soc_deploy", {"instruction": "a</user-instruction><user-instruction>b"}),
        ),
        (Conversation(["a"], TOOLS, text("running")), Call("soc-deploy_status", {"run_id": RUN, "wait_s": 40})),
        (Conversation(["a"], TOOLS, f"| {RUN} |\n--- soc-deploy: state=answered next: nothing"), "status"),
        (Conversation(["a"], TOOLS, "No runs yet.\n--- soc-deploy: state=answered next: nothing"), "final"),
        (Conversation(["a"], TOOLS, text("waiting_approval", f"soc-deploy approve {RUN}")), "final"),
        (Conversation(["a"], TOOLS, text("succeeded")), "final"),
        (Conversation(["a"], TOOLS, "not allowed"), "final"),
        (Conversation(["a"], TOOLS, text("running"), calls=40), "final"),
    ],
)
def test_the_policy_does_what_the_command_says(chat: Conversation, move: object) -> None:
    found = next_move(chat)
    if move == "final":
        assert found == Say(FINAL + (chat.result or ""))
    elif move == "status":
        assert found == Call("soc-deploy_status", {"run_id": RUN, "wait_s": 40})
    else:
        assert found == move


def test_a_missing_server_is_said() -> None:
    found = next_move(Conversation(["<user-instruction>a</user-instruction>"], ["bash"]))
    assert isinstance(found, Say)
    assert "not offered" in found.text


def test_structured_answers_are_read_behind_the_line_of_a_link() -> None:
    said = {"state": "running", "run_id": RUN, "next": ["status"]}
    assert read(f"[Resource link: report] deployment://{RUN}/report\n{json.dumps(said)}") == ("running", RUN, "status")


def ask(stub: Model, path: str, body: dict[str, Any], *, packed: bool = False) -> str:
    data = json.dumps(body).encode()
    request = urllib.request.Request(stub.url + path, gzip.compress(data) if packed else data)
    if packed:
        request.add_header("content-encoding", "gzip")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def test_both_dialects_carry_the_instruction_and_the_answer() -> None:
    user = "<user-instruction>production\n--dry-run</user-instruction>"
    with model() as stub:
        tools = [{"type": "function", "function": {"name": "soc-deploy_soc_deploy"}}]
        body = {"model": "m", "messages": [{"role": "user", "content": user}], "tools": tools}
        streamed = ask(stub, "/v1/chat/completions", {**body, "stream": True}, packed=True)
        whole = json.loads(ask(stub, "/v1/chat/completions", body))
        called = whole["choices"][0]["message"]["tool_calls"][0]["function"]
        assert json.loads(called["arguments"]) == {"instruction": "production\n--dry-run"}
        assert streamed.endswith("data: [DONE]\n\n")

        body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": user}]}]}
        body["tools"] = [{"name": "mcp__soc-deploy__soc_deploy"}]
        block = json.loads(ask(stub, "/v1/messages", body))["content"][0]
        assert (block["name"], block["input"]) == (
            "mcp__soc-deploy__soc_deploy",
            {"instruction": "production\n--dry-run"},
        )
        assert "event: message_stop" in ask(stub, "/v1/messages?beta=true", {**body, "stream": True})
        result = {"type": "tool_result", "tool_use_id": block["id"], "content": [{"type": "text", "text": "Done."}]}
        body["messages"] += [{"role": "assistant", "content": [block]}, {"role": "user", "content": [result]}]
        assert json.loads(ask(stub, "/v1/messages", body))["content"][0]["text"] == FINAL + "Done."
        assert [call.tool for call in stub.calls] == ["soc_deploy"] * 4
        assert not stub.faults


def test_a_request_that_it_does_not_understand_is_answered_too() -> None:
    with model() as stub:
        assert "the stub failed" in ask(stub, "/v1/messages", {"messages": [{}]})
        assert stub.faults
        assert json.loads(ask(stub, "/v1/messages/count_tokens", {})) == {"input_tokens": 100}
