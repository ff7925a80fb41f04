"""The tools over both eras, in memory, in front of the FakeApp."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitResult, Implementation

from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.redaction import MARK, Redactor
from soc_deploy_mcp.interfaces.mcp import guard
from soc_deploy_mcp.interfaces.mcp.following import BUDGET_S
from soc_deploy_mcp.interfaces.mcp.outcome import FULL_LIMIT, LIMIT
from tests.interfaces.fake_app import KNOWN, FakeApp, Script
from tests.interfaces.mcp.chats import ERAS, LINE, PEER, chat
from tests.interfaces.mcp.turned import clock, turned

pytestmark = pytest.mark.parametrize("era", ERAS)


async def test_a_command_line_runs_to_its_end(era: str) -> None:
    async with chat(FakeApp(), era) as it:
        told = await it.call("soc_deploy", instruction=LINE)
        assert told["state"] == "succeeded"
        assert "Deployment Report" in told["report_markdown"]
        assert it.progress[0][2] == "reading the command"
        numbers = [progress for progress, *_ in it.progress]
        assert numbers == sorted(set(numbers))


async def test_structured_tools_give_the_same_request(era: str) -> None:
    async with chat(FakeApp(), era) as it:
        await it.call("deploy", target="shop", environment="prod", version="v1.0.0", strategy="canary", dry_run=True)
        await it.call("rollback", target="prod", version="v0.9.0")
        asked = [run.request for run in it.app.fakes.values()]
    assert asked == [
        parse("shop --action deploy --environment prod --version v1.0.0 --strategy canary --dry-run", KNOWN).to_json(),
        parse("prod --action rollback --version v0.9.0", KNOWN).to_json(),
    ]


async def test_the_caller_is_the_connections_and_named_by_the_client(era: str) -> None:
    named = Implementation(name="Chatty\x1b[31m", version="9" * 200)
    async with chat(FakeApp(), era, client_info=named) as it:
        await it.call("soc_deploy", instruction=LINE)
        caller = dict(it.app.calls)["begin"]
    assert (caller.kind, caller.subject, caller.project) == ("mcp", "uid:1", "/shop")
    assert caller.client.startswith("Chatty[31m 999")
    assert len(caller.client) <= 80


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("deploy", {"target": "prod", "enviroment": "prod"}, "E_ARGUMENT"),
        ("deploy", {"target": "prod", "environment": "production"}, "E_ARGUMENT"),
        ("deploy", {"target": "prod", "auto_approve": True}, "E_ARGUMENT"),
        ("deploy", {"target": ["prod"]}, "E_ARGUMENT"),
        ("deploy", {}, "E_ARGUMENT"),
        ("deploy", {"target": "prod", "version": "[1]"}, "E_ARGUMENT"),
        ("deploy", {"target": "--auto-approve", "environment": "prod", "version": "v1.0.0"}, "E_VALUE"),
        ("deploy", {"target": "prod"}, "E_VERSION_MISSING"),
        ("soc_deploy", {"instruction": "prod --action deploy --versoin v1.0.0"}, "E_FLAG_UNKNOWN"),
        ("soc_deploy", {"instruction": LINE, "reason": "x"}, "E_ARGUMENT"),
        ("status", {"run_id": "run_" + "0" * 32}, "E_RUN_UNKNOWN"),
        ("status", {"wait_s": 46}, "E_ARGUMENT"),
        ("control", {"run_id": "run_0", "verb": "approve"}, "E_ARGUMENT"),
        ("control", {"run_id": "run_0", "verb": "abort"}, "E_RUN_UNKNOWN"),
        ("report", {"run_id": "../../etc/passwd"}, "E_RUN_UNKNOWN"),
        ("releases", {"target": "prod", "limit": 0}, "E_ARGUMENT"),
        ("approve", {"run_id": "run_0"}, "E_ARGUMENT"),
    ],
)
async def test_bad_input_is_refused_in_the_shape_of_every_answer(
    era: str, tool: str, arguments: dict[str, Any], code: str
) -> None:
    async with chat(FakeApp(), era) as it:
        result = await it.raw(tool, **arguments)
        assert result.is_error
        assert result.structured_content["state"] == "refused"
        assert result.structured_content["error"]["code"] == code
        assert f"error={code}" in result.content[0].text  # type: ignore[union-attr]
        assert it.app.fakes == {}


async def test_a_refusal_does_not_repeat_what_was_sent(era: str) -> None:
    async with chat(FakeApp(), era) as it:
        told = await it.raw("deploy", target="prod", environment="hunter2hunter2")
        assert "hunter2" not in told.model_dump_json()


@pytest.mark.parametrize("method", ["begin", "view", "report", "follow", "runs", "releases", "control"])
@pytest.mark.parametrize("kind", ["told", "crash"])
def test_a_failing_application_is_an_answer(era: str, method: str, kind: str) -> None:
    planted = "hunter2hunter2"

    async def go() -> None:
        async with chat(FakeApp(), era) as it:
            run = (await it.call("soc_deploy", instruction=LINE))["run_id"]
            it.app.script = Script(pace=1)
            told = DeployError("E_JOURNAL", "The journal cannot be written.", "the disk is full", "soc-deploy status")
            it.app.faults[method] = told if kind == "told" else RuntimeError(planted)
            arguments: dict[str, tuple[str, dict[str, Any]]] = {
                "runs": ("status", {}),
                "releases": ("releases", {"target": "prod"}),
                "control": ("control", {"run_id": run, "verb": "pause"}),
            }
            tool, words = arguments.get(method, ("soc_deploy", {"instruction": LINE}))
            result = await it.raw(tool, **words)
            error = result.structured_content["error"]
            assert result.is_error
            assert error["code"] == ("E_JOURNAL" if kind == "told" else "E_INTERNAL")
            assert planted not in result.model_dump_json()

    turned(go())


async def test_nothing_leaves_unredacted(era: str) -> None:
    secret, asked = "s3cr3t-v4lue-xyz", []

    async def person(_context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": True})

    app = FakeApp(Script(waits=True, pace=0.3, note=f"it printed {secret}"))
    async with chat(app, era, redactor=Redactor([secret]), elicitation_callback=person) as it:
        result = await it.raw("soc_deploy", instruction=LINE)
        run = result.structured_content["run_id"]
        seen = [result.model_dump_json(), *asked, *(text or "" for *_, text in it.progress)]
        read = [await it.client.read_resource(f"deployment://{run}/{name}") for name in ("report", "events", "plan")]
        seen += [one.model_dump_json() for one in read]
        it.app.faults["report"] = DeployError("E_JOURNAL", secret)
        with pytest.raises(MCPError) as told:
            await it.client.read_resource(f"deployment://{run}/report")
        seen.append(str(told.value))
    assert not [text for text in seen if secret in text]
    assert sum(MARK in text for text in seen) >= 7  # answer, question, two steps, three resources, error


async def test_status_shows_open_runs_and_the_last_five(era: str) -> None:
    async with chat(FakeApp(), era) as it:
        assert (await it.call("status"))["report_markdown"] == "No runs yet."
        for number in range(7):
            await it.call("deploy", target="prod", version=f"v1.0.{number}")
        it.app.script = Script(waits=True)
        await it.call("deploy", target="prod", version="v2.0.0")
        told = await it.call("status")
        assert [run["version"] for run in told["data"]["runs"]] == ["v2.0.0", *(f"v1.0.{n}" for n in range(2, 7))]
        assert told["state"] == "answered"
        assert told["next"] == [f'status(run_id="{told["data"]["runs"][0]["run_id"]}", wait_s=40)']


async def test_a_strangers_run_and_no_run_are_the_same_answer(era: str) -> None:
    app = FakeApp()
    async with chat(app, era) as it:
        run = (await it.call("soc_deploy", instruction=LINE))["run_id"]
    stranger = PEER._replace(caller=PEER.caller.model_copy(update={"subject": "uid:2"}))
    async with chat(app, era, peer=stranger) as it:
        for tool, more in (("status", {}), ("report", {}), ("control", {"verb": "abort"})):
            theirs = await it.call(tool, run_id=run, **more)
            nobodys = await it.call(tool, run_id="run_" + "f" * 32, **more)
            assert theirs["error"]["code"] == nobodys["error"]["code"] == "E_RUN_UNKNOWN"
        assert (await it.call("status"))["data"]["runs"] == []


async def test_reports_come_short_and_full(era: str) -> None:
    async with chat(FakeApp(Script(steps=3000)), era) as it:
        run = (await it.call("soc_deploy", instruction=LINE))["run_id"]
        short, full = await it.raw("report", run_id=run), await it.raw("report", run_id=run, full=True)
        assert len(short.content[0].text.encode()) <= LIMIT  # type: ignore[union-attr]
        assert LIMIT < len(full.content[0].text.encode()) <= FULL_LIMIT  # type: ignore[union-attr]
        whole = await it.client.read_resource(f"deployment://{run}/report")
        assert "step 3000" in whole.contents[0].text  # type: ignore[union-attr]


async def test_control_steers_and_says_when_there_is_nothing_to_steer(era: str) -> None:
    async with chat(FakeApp(Script(waits=True)), era) as it:
        run = (await it.call("soc_deploy", instruction=LINE))["run_id"]
        assert (await it.call("control", run_id=run, verb="abort"))["state"] == "failed_no_change"
        again = await it.call("control", run_id=run, verb="abort", reason="twice")
        assert again["report_markdown"].startswith("nothing to abort")


async def test_releases_are_shown_as_text_and_data(era: str) -> None:
    async with chat(FakeApp(), era) as it:
        told = await it.call("releases", target="shop", environment="prod")
        assert told["report_markdown"] == "| shop/prod | v1.0.0 | stable |"
        assert told["data"]["releases"] == [{"version": "v1.0.0"}]


async def test_both_versions_are_named_where_they_differ(era: str) -> None:
    async with chat(FakeApp(), era, peer=PEER._replace(note="client version 2, daemon version 1")) as it:
        for result in (
            await it.raw("soc_deploy", instruction=LINE),
            await it.raw("status"),
            await it.raw("releases", target="prod"),
        ):
            assert "client version 2, daemon version 1" in result.content[0].text  # type: ignore[union-attr]
            assert result.structured_content["data"]["note"] == "client version 2, daemon version 1"


# --- time: the clock is turned


def test_a_long_run_is_answered_within_the_budget_and_goes_on(era: str) -> None:
    async def go() -> None:
        async with chat(FakeApp(Script(steps=100, pace=1)), era) as it:
            told = await it.call("soc_deploy", instruction=LINE)
            assert told["state"] == "running"
            assert told["next"] == [f'status(run_id="{told["run_id"]}", wait_s=40)']
            assert clock() == pytest.approx(BUDGET_S, abs=1)
            while (told := await it.call("status", run_id=told["run_id"], wait_s=40))["state"] == "running":
                pass
            assert told["state"] == "succeeded"
            assert clock() == pytest.approx(100, abs=5)

    turned(go())


def test_an_equal_call_joins_the_open_run(era: str) -> None:
    async def go() -> None:
        async with chat(FakeApp(Script(steps=60, pace=1)), era) as it:
            first = await it.call("soc_deploy", instruction=LINE)
            second = await it.call("deploy", target="prod", version="1.0.0")
            assert second["run_id"] == first["run_id"]
            assert len(it.app.fakes) == 1

    turned(go())


def test_waiting_returns_at_the_next_change(era: str) -> None:
    async def go() -> None:
        async with chat(FakeApp(Script(steps=9, pace=100)), era) as it:
            run = (await it.call("soc_deploy", instruction=LINE))["run_id"]
            told = await it.call("status", run_id=run, wait_s=40)
            assert (told["data"]["done"], round(clock())) == (0, 85)
            told = await it.call("status", run_id=run, wait_s=40)
            assert told["data"]["done"] == 1
            assert clock() == pytest.approx(100, abs=1)

    turned(go())


def test_an_application_that_hangs_is_answered_at_the_hard_limit(era: str) -> None:
    class Hung(FakeApp):
        async def begin(self, line: Any, caller: Any) -> Any:
            await asyncio.sleep(3600)
            return await super().begin(line, caller)

    async def go() -> None:
        async with chat(Hung(), era) as it:
            result = await it.raw("soc_deploy", instruction=LINE)
            assert (result.is_error, result.structured_content["state"]) == (True, "unknown")
            assert clock() == pytest.approx(guard.HARD_S, abs=0.1)
            await asyncio.sleep(3600)
            assert len(it.app.fakes) == 1  # the order was carried to its end

    turned(go())


def test_many_followers_of_one_run_are_all_answered(era: str) -> None:
    async def go() -> None:
        async with chat(FakeApp(Script(steps=5, pace=1)), era) as it:
            run = (await it.call("soc_deploy", instruction=LINE + " --dry-run"))["run_id"]
            asked = asyncio.gather(*(it.call("soc_deploy", instruction=LINE) for _ in range(200)))
            assert (await it.call("status", run_id=run))["state"] == "dry_run"
            told = await asked
            assert {answer["state"] for answer in told} == {"succeeded"}
            assert len({answer["run_id"] for answer in told}) == 1

    turned(go())


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.lists(st.integers(), max_size=2)
NAMES = st.sampled_from(["target", "environment", "version", "strategy", "dry_run", "auto_rollback"]) | st.text(
    max_size=6
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(NAMES, VALUES | st.sampled_from(["prod", "v1.0.0", "canary"])), min_size=8, max_size=8))
def test_any_arguments_are_refused_or_are_a_request_of_the_grammar(era: str, calls: list[dict[str, Any]]) -> None:
    async def go() -> None:
        async with chat(FakeApp(), era) as it:
            for arguments in calls:
                before = len(it.app.fakes)
                result = await it.raw("deploy", **arguments)
                told = result.structured_content
                if told["state"] == "refused":
                    assert result.is_error
                    assert len(it.app.fakes) == before
                else:
                    run = it.app.fakes[told["run_id"]]
                    assert parse(run.line, KNOWN).to_json() == run.request | {"notes": []}

    turned(go())
