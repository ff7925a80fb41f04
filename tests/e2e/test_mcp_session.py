"""A whole release through a chat's eyes: the server as a process, both protocol eras, the report in every answer."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.stdio import StdioServerParameters
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent

from soc_deploy_mcp.core.event import State
from tests.e2e.conftest import Make
from tests.support.chat import CONTRACT_S, ERAS, Answer, Chat, Era, chat
from tests.support.product import LENIENT, Product, deploying

TOOLS = {"soc_deploy", "deploy", "rollback", "status", "report", "control", "releases"}
# Steps that end only when somebody says so: no answer can wait for the end.
SLOW: Mapping[str, Any] = {"deploy": {"canary": {"steps": [30, 100], "min": "300s", "max": "600s"}}}


def line(version: str, *flags: str) -> str:
    return " ".join(word for word in deploying(version, *flags) if word != "--plain")


def assert_prompt(talk: Chat) -> None:
    """The contract of every answer; not a measurement of this machine."""
    late = {answer.tool: answer.took_s for answer in talk.answers if answer.took_s >= CONTRACT_S}
    assert not late


def assert_reported(shop: Product, answer: Answer) -> None:
    """The report is in the text and in the structured result, and is the one that the command line prints."""
    printed = shop.report(answer.run).out
    assert answer.structured["report_markdown"] == printed
    assert answer.text.startswith(printed)
    document = shop.do("report", answer.run, "--format", "json").json()
    assert document["summary"]["run"] == answer.run
    assert document["summary"]["plan_hash"] == answer.structured["data"]["plan_hash"]
    assert answer.structured["data"]["exit"] == shop.view(answer.run)["exit"]


@pytest.mark.parametrize("era", ERAS)
def test_a_scripted_client_does_a_canary_release(make: Make, era: Era) -> None:
    shop = make(LENIENT)
    with chat(shop, era) as talk:
        assert {tool["name"] for tool in talk.request("tools/list")["tools"]} == TOOLS
        first = talk.follow(talk.call("soc_deploy", instruction=line("v1.0.0")))
        assert first.state == "succeeded", first.text

        plain = {"target": "production", "version": "v1.1.0", "strategy": "canary", "auto_rollback": True}
        dry = talk.follow(talk.call("deploy", **plain, dry_run=True))
        assert dry.state == "dry_run", dry.text
        assert shop.answered_by() == "v1.0.0"

        done = talk.follow(talk.call("soc_deploy", instruction=line("v1.1.0", "--strategy", "canary")))
        assert (done.state, done.result["isError"]) == ("succeeded", False), done.text
        whole = talk.call("report", run_id=done.run, full=True)
        serves = talk.call("releases", target="production").structured["data"]
        back = talk.follow(talk.call("rollback", target="production"))
        assert_prompt(talk)
        assert_reported(shop, whole)
        told = talk.request("resources/read", uri=f"deployment://{done.run}/report")
    assert told["contents"][0]["text"] == shop.report(done.run).out
    assert [life["version"] for life in serves["releases"] if life["stable"]] == ["v1.1.0", "v1.0.0"]
    assert (back.state, back.result["isError"]) == ("succeeded", False), "it did what was asked"
    assert "**Status**: ⚠️ ROLLBACK" in back.text
    assert shop.answered_by() == "v1.0.0"
    assert "50 %" in "".join(each.get("message", "") for each in talk.progress)


def test_an_answer_does_not_wait_for_a_run_that_lasts(make: Make) -> None:
    shop = make(LENIENT)
    shop.first()
    shop.settings(LENIENT, SLOW)
    with chat(shop, "2026-07-28") as talk:
        begun = talk.call("soc_deploy", instruction=line("v1.1.0", "--strategy", "canary"))
        assert begun.state in ("running", "promoting"), begun.text
        assert f'status(run_id="{begun.run}", wait_s=40)' in begun.text
        assert talk.call("control", run_id=begun.run, verb="promote").structured["error"]["code"] == "E_VERB"
        talk.call("control", run_id=begun.run, verb="abort", reason="the chat changed its mind")
        ended = talk.follow(talk.call("status", run_id=begun.run))
        assert_prompt(talk)
        assert_reported(shop, talk.call("report", run_id=begun.run, full=True))
    assert ended.state == "rolled_back"
    assert "the chat changed its mind" in ended.text
    assert shop.answered_by() == "v1.0.0"


async def test_the_official_client_releases_with_a_yes_in_its_form(make: Make) -> None:
    shop = make(LENIENT)
    shop.first()
    asked: list[str] = []

    async def yes(_: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": True, "reason": "looks good"})

    server = StdioServerParameters(
        command=sys.executable, args=shop.argv("serve")[1:], env=shop.environ, cwd=shop.repository
    )
    took: list[float] = []

    async def call(client: Client, tool: str, **arguments: Any) -> CallToolResult:
        began = time.monotonic()
        result = await client.call_tool(tool, arguments)
        took.append(time.monotonic() - began)
        return result

    async with Client(server, elicitation_callback=yes) as client:
        result = await call(client, "deploy", target="production", version="v1.1.0", strategy="canary")
        run = result.structured_content["run_id"]
        while not State(result.structured_content["state"].upper()).terminal:
            result = await call(client, "status", run_id=run, wait_s=40)
        whole = await call(client, "report", run_id=run, full=True)
    (question,) = asked
    assert "v1.1.0" in question
    assert max(took) < CONTRACT_S
    assert result.structured_content["state"] == "succeeded", result
    printed = shop.report(run)
    assert isinstance(whole.content[0], TextContent)
    assert whole.content[0].text.startswith(printed.out)
    assert whole.structured_content["report_markdown"] == printed.out
    assert "elicitation" in printed.field("Approval")
    assert shop.answered_by() == "v1.1.0"
