"""What is too long for an answer, the prompt, and completions."""

import json

import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import PromptReference, ResourceTemplateReference

from tests.interfaces.fake_app import FakeApp, Script
from tests.interfaces.mcp.chats import ERAS, LINE, PEER, chat

pytestmark = pytest.mark.parametrize("era", ERAS)


async def test_a_run_can_be_read_as_report_events_and_plan(era: str) -> None:
    async with chat(FakeApp(), era) as it:
        run = (await it.call("soc_deploy", instruction=LINE))["run_id"]
        read = {}
        for name in ("report", "events", "plan"):
            (found,) = (await it.client.read_resource(f"deployment://{run}/{name}")).contents
            read[name] = (found.mime_type, found.text)  # type: ignore[union-attr]
    assert read["report"][0] == "text/markdown"
    assert [json.loads(line)["seq"] for line in read["events"][1].splitlines()][:2] == [1, 1]
    assert json.loads(read["plan"][1])["plan"] == {"steps": 3, "note": ""}


async def test_a_run_without_a_plan_has_none_to_read(era: str) -> None:
    class Early(FakeApp):
        async def journal(self, run, caller, as_is=False):  # type: ignore[no-untyped-def]
            return [row for row in await super().journal(run, caller, as_is) if row["kind"] != "plan"]

    async with chat(Early(), era) as it:
        run = (await it.call("soc_deploy", instruction=LINE))["run_id"]
        with pytest.raises(MCPError, match="no plan"):
            await it.client.read_resource(f"deployment://{run}/plan")


@pytest.mark.parametrize("name", ["report", "events", "plan"])
@pytest.mark.parametrize("run", ["run_" + "0" * 32, "..", "%2e%2e", "-"])
async def test_nobodys_run_cannot_be_read(era: str, name: str, run: str) -> None:
    async with chat(FakeApp(), era) as it:
        with pytest.raises(MCPError):
            await it.client.read_resource(f"deployment://{run}/{name}")


async def test_a_strangers_run_cannot_be_read_or_completed(era: str) -> None:
    app = FakeApp()
    async with chat(app, era) as it:
        run = (await it.call("soc_deploy", instruction=LINE))["run_id"]
    stranger = PEER._replace(caller=PEER.caller.model_copy(update={"subject": "uid:2"}))
    async with chat(app, era, peer=stranger) as it:
        with pytest.raises(MCPError, match="E_RUN_UNKNOWN"):
            await it.client.read_resource(f"deployment://{run}/report")
        ref = ResourceTemplateReference(type="ref/resource", uri="deployment://{run_id}/report")
        found = await it.client.complete(ref, {"name": "run_id", "value": ""})
        assert found.completion.values == []


async def test_the_prompt_takes_words_without_judging_them(era: str) -> None:
    async with chat(FakeApp(), era) as it:
        (listed,) = (await it.client.list_prompts()).prompts
        assert listed.name == "release"
        assert [argument.name for argument in listed.arguments or []] == [
            *("target", "action", "environment", "version", "strategy")
        ]
        assert not any(argument.required for argument in listed.arguments or [])
        for words, shown in (
            ({"target": "$1", "action": "$2"}, "$1 --action $2"),
            ({"target": "production", "version": "v1.0.0"}, "production --version v1.0.0"),
            ({}, ""),
        ):
            (message,) = (await it.client.get_prompt("release", words)).messages
            assert f"<user-instruction>{shown}</user-instruction>" in message.content.text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("argument", "begun", "values"),
    [
        ("action", "", ["deploy", "rollback"]),
        ("environment", "s", ["staging"]),
        ("strategy", "r", ["rolling", "recreate"]),
        ("target", "sh", ["shop"]),
        ("version", "v1", ["v1.0.0"]),
        ("nothing", "", []),
    ],
)
async def test_words_of_the_prompt_are_completed(era: str, argument: str, begun: str, values: list[str]) -> None:
    async with chat(FakeApp(), era) as it:
        await it.call("soc_deploy", instruction=LINE)
        ref = PromptReference(type="ref/prompt", name="release")
        found = await it.client.complete(ref, {"name": argument, "value": begun})
        assert found.completion.values == values


async def test_run_ids_are_completed_for_addresses(era: str) -> None:
    async with chat(FakeApp(Script(waits=True)), era) as it:
        run = (await it.call("soc_deploy", instruction=LINE))["run_id"]
        ref = ResourceTemplateReference(type="ref/resource", uri="deployment://{run_id}/plan")
        found = await it.client.complete(ref, {"name": "run_id", "value": "run_"})
        assert (found.completion.values, found.completion.total) == ([run], 1)


async def test_the_server_says_who_it_is_and_how_to_wait(era: str) -> None:
    async with chat(FakeApp(), era) as it:
        assert it.client.server_info is not None
        assert it.client.server_info.name == "soc-deploy"
        assert "status(run_id, wait_s=40)" in (it.client.instructions or "")
        templates = (await it.client.list_resource_templates()).resource_templates
        assert [found.uri_template for found in templates] == [
            f"deployment://{{run_id}}/{name}" for name in ("report", "events", "plan")
        ]
