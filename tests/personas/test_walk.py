"""From a request to the gate: what is asked, what is refused, and that nothing was changed before it."""

import asyncio
from pathlib import Path

import pytest

from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import ApprovalGiven, ApprovalUsed, HealthSeen, PlanMade, State
from soc_deploy_mcp.core.ids import RunId
from soc_deploy_mcp.core.request import Request
from soc_deploy_mcp.engine.approvals import Ask
from soc_deploy_mcp.engine.signals import ABORT
from tests.fakes.readers import release
from tests.personas.stage import Ended, Stage, deploy, on_stage, rollback

MINUTE, HOUR = 60.0, 3600.0


async def waiting(stage: Stage, request: Request) -> RunId:
    await stage.served("v1.0.0")
    run = await stage.begin(request)
    await stage.node.reaches(run, State.WAITING_APPROVAL)
    return run


# --- who is asked


def test_a_deploy_to_prod_waits_for_a_yes_and_then_runs_once(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        run = await waiting(stage, deploy())
        assert stage.reached == []
        asked = await stage.approvals.find(run)
        assert asked.command == f"soc-deploy approve {run}"
        await stage.approvals.grant(asked.id, by="uid:1001", channel="terminal")
        ended = await stage.end(run)
        assert stage.reached == [run]
        return ended

    ended = on_stage(tmp_path, story)
    (given,), (used,) = ended.all(ApprovalGiven), ended.all(ApprovalUsed)
    assert (given.grade, given.by, given.unattended) == ("A0", "uid:1001", False)
    assert used.plan_hash == ended.plan.hash


def test_the_flag_is_a_yes_that_nobody_gave_and_the_report_says_so(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        return await stage.walked(deploy(auto_approve=True))

    ended = on_stage(tmp_path, story)
    assert ended.state is State.SUCCEEDED
    assert ended.report.summary.approval == "A0, --auto-approve, UNATTENDED, UNGOVERNED (no approver enrolled)"


@pytest.mark.parametrize("request_", [deploy(environment="dev"), rollback("dev")])
def test_in_dev_nobody_is_asked(tmp_path: Path, request_: Request) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        await stage.served("v1.0.1")
        return await stage.walked(request_)

    ended = on_stage(tmp_path, story, "dev")
    assert ended.state is State.SUCCEEDED, ended.last
    assert ended.report.summary.approval == ("none needed (dev)" if request_.action == "deploy" else ANY_ROLLBACK)


ANY_ROLLBACK = "none needed (rollback)"


def test_in_dev_the_box_of_the_tests_says_why_it_is_open(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        return await stage.walked(deploy(environment="dev"))

    box = on_stage(tmp_path, story, "dev").boxes["All tests"]
    assert box == "[ ] All tests passing: not run (dev does not wait for tests)"


def test_the_way_back_is_named_once(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        return await stage.walked(deploy(auto_approve=True))

    assert on_stage(tmp_path, story).boxes["Rollback plan"].count("v1.0.0") == 1


def test_a_rollback_of_prod_waits_for_nobody(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        await stage.served("v1.0.1")
        return await stage.walked(rollback())

    ended = on_stage(tmp_path, story)
    assert ended.state is State.SUCCEEDED, ended.last
    assert ended.report.summary.approval == ANY_ROLLBACK
    assert ended.plan.new.version == "v1.0.0"


def test_a_no_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        run = await waiting(stage, deploy())
        asked = await stage.approvals.find(run)
        await stage.approvals.reject(asked.id, by="uid:1001", reason="not on a Friday")
        ended = await stage.end(run)
        assert stage.reached == []
        return ended

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.exit) == (State.FAILED_NO_CHANGE, 2)
    assert ended.last == "no user traffic was affected: rejected by uid:1001: not on a Friday"


def test_silence_is_no_yes(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        ended = await stage.end(await waiting(stage, deploy()))
        assert stage.reached == []
        return ended

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.exit) == (State.FAILED_NO_CHANGE, 2)
    assert "nobody approved it within 24 hours" in ended.last


def test_a_cancelled_run_says_who_cancelled_it(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        run = await waiting(stage, deploy())
        await stage.node.runner.signal(run, ABORT, {"reason": "wrong version"}, "uid:1000")
        ended = await stage.end(run)
        assert stage.reached == []
        return ended

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.exit) == (State.FAILED_NO_CHANGE, 2)
    assert "cancelled by uid:1000: wrong version" in ended.last


def test_an_abort_while_the_tests_run_stops_the_run_before_the_gate(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        stage.tests_take_s = 10 * MINUTE
        run = await stage.begin(deploy(auto_approve=True))
        await stage.node.reaches(run, State.PREFLIGHT)
        await stage.node.runner.signal(run, ABORT, {"reason": "too slow"}, "uid:1000")
        ended = await stage.end(run)
        assert stage.reached == []
        return ended

    assert on_stage(tmp_path, story).state is State.FAILED_NO_CHANGE


def test_a_target_that_changed_since_the_question_makes_the_yes_void(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        run = await waiting(stage, deploy())
        asked = await stage.approvals.find(run)
        await stage.served("v1.0.1")
        await stage.approvals.grant(asked.id, by="uid:1001", channel="terminal")
        ended = await stage.end(run)
        assert stage.reached == []
        return ended

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.error.code) == (State.FAILED_NO_CHANGE, "E_APPROVAL_BASELINE")


def test_a_yes_to_the_same_plan_that_was_given_before_is_used_once(tmp_path: Path) -> None:
    async def story(stage: Stage) -> tuple[Ended, RunId]:
        await stage.served("v1.0.0")
        dry = await stage.walked(deploy(dry_run=True))
        lead = stage.lead(dry.records[0].run)
        ask = Ask(
            run=dry.records[0].run,
            target=stage.target.id,
            plan_hash=dry.plan.hash,
            baseline=await lead.baseline(dry.plan),
            question="?",
            command="soc-deploy approve",
        )
        await stage.approvals.give(ask, by="uid:1001", channel="terminal")
        first = await stage.walked(deploy())
        await stage.begin(deploy())
        second = await stage.begin(deploy())
        await stage.node.reaches(second, State.WAITING_APPROVAL)
        return first, second

    first, _ = on_stage(tmp_path, story)
    assert first.state is State.SUCCEEDED
    assert first.all(ApprovalGiven)[0].by == "uid:1001"


# --- a dry run


@pytest.mark.parametrize("request_", [deploy(dry_run=True), rollback(dry_run=True)])
def test_a_dry_run_writes_nothing_asks_nobody_and_plans_what_the_real_run_does(
    tmp_path: Path, request_: Request
) -> None:
    async def story(stage: Stage) -> tuple[Ended, Ended]:
        await stage.served("v1.0.0")
        await stage.served("v1.0.1")
        before, calls = list(stage.platform.history), dict(stage.platform.calls)
        dry = await stage.walked(request_)
        writes = {verb for verb, n in stage.platform.calls.items() if calls.get(verb) != n} - {"observe", "probe"}
        assert (stage.platform.history, writes, stage.reached, stage.tests_ran) == (before, set(), [], 0)
        real = await stage.walked(request_.model_copy(update={"dry_run": False, "auto_approve": True}))
        return dry, real

    dry, real = on_stage(tmp_path, story)
    assert (dry.state, dry.exit) == (State.DRY_RUN, 0)
    assert dry.report.summary.status == "DRY RUN (nothing executed)"
    assert real.state is State.SUCCEEDED, real.last
    assert dry.plan.hash == real.plan.hash


def test_a_dry_run_shows_the_health_of_what_runs_and_what_would_block(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        stage.held = asyncio.Event()
        busy = await stage.begin(deploy("v1.0.5", auto_approve=True))
        await stage.node.reaches(busy, State.RUNNING)
        ended = await stage.walked(deploy(dry_run=True))
        stage.held.set()
        await stage.end(busy)
        return ended

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.exit) == (State.DRY_RUN, 0)
    assert ended.all(HealthSeen)[0].release == "v1.0.0"
    notes = " ".join(note.text for note in ended.report.notes)
    assert "gate: waits for a yes" in notes
    assert "gate: shop/prod is held by" in notes


def test_the_first_release_of_a_target_has_no_health_to_show(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        return await stage.walked(deploy(dry_run=True))

    ended = on_stage(tmp_path, story)
    assert ended.state is State.DRY_RUN
    assert ended.all(HealthSeen) == []
    assert ended.boxes["Rollback plan"].startswith("[ ] Rollback plan documented: partial (first release")


# --- one run a target


def test_a_second_run_is_told_who_holds_the_target_and_what_to_type(tmp_path: Path) -> None:
    async def story(stage: Stage) -> tuple[Ended, RunId]:
        await stage.served("v1.0.0")
        stage.held = asyncio.Event()
        first = await stage.begin(deploy(auto_approve=True))
        await stage.node.reaches(first, State.RUNNING)
        second = await stage.walked(deploy("v1.2.0", auto_approve=True))
        stage.held.set()
        await stage.end(first)
        return second, first

    second, first = on_stage(tmp_path, story)
    assert (second.state, second.exit, second.error.code) == (State.FAILED_NO_CHANGE, 2, "E_LOCKED")
    assert f"soc-deploy abort {first}" in second.error.try_
    assert second.all(PlanMade) == []


def test_a_run_that_comes_to_the_gate_behind_another_is_refused_there(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        run = await waiting(stage, deploy())
        asked = await stage.approvals.find(run)
        stage.held = asyncio.Event()
        other = await stage.begin(deploy("v1.2.0", auto_approve=True))
        await stage.node.reaches(other, State.RUNNING)
        await stage.approvals.grant(asked.id, by="uid:1001", channel="terminal")
        ended = await stage.end(run)
        assert stage.reached == [other]
        stage.held.set()
        await stage.end(other)
        return ended

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.error.code) == (State.FAILED_NO_CHANGE, "E_LOCKED")


def test_a_version_that_serves_already_is_a_success_without_a_step(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        ended = await stage.walked(deploy("v1.0.0"))
        assert stage.reached == []
        return ended

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.exit, ended.last) == (State.SUCCEEDED, 0, "no change: v1.0.0 serves shop/prod already")
    assert ended.report.steps == ()


# --- the project's tests


def test_tests_run_once_when_everything_cheaper_has_passed(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        ended = await stage.walked(deploy(auto_approve=True))
        assert stage.tests_ran == 1
        return ended

    ended = on_stage(tmp_path, story)
    assert ended.boxes["All tests"] == "[x] All tests passing (4 passed, 0 failed)"


def test_tests_do_not_run_when_another_check_closes_the_gate_anyway(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        stage.readers.missing_secrets = ("env:DB_PASSWORD",)
        ended = await stage.walked(deploy(auto_approve=True))
        assert stage.tests_ran == 0
        return ended

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.exit) == (State.FAILED_NO_CHANGE, 2)
    assert "nothing behind env:DB_PASSWORD" in ended.error.what


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ({"exit_code": 1, "passed": 3, "failed": 1}, "3 passed, 1 failed"),
        ({"exit_code": 0, "passed": 3, "failed": 1}, "3 passed, 1 failed"),
        ({"exit_code": 2, "passed": None, "failed": None}, "None passed, None failed"),
        ({"exit_code": 0, "passed": 0, "failed": 0}, "no test ran: 0 passed, 0 failed"),
    ],
)
def test_tests_that_fail_or_do_not_exist_close_the_gate(tmp_path: Path, seen: dict[str, object], why: str) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        stage.tests_data = seen
        ended = await stage.walked(deploy(auto_approve=True))
        assert stage.reached == []
        return ended

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.exit, ended.error.code) == (State.FAILED_NO_CHANGE, 2, "E_CHECKS")
    assert ended.boxes["All tests"] == f"[ ] All tests passing: failed ({why})"
    assert "--skip-tests" in ended.error.try_


def test_a_project_without_tests_is_refused_with_three_ways_to_go_on(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        stage.tests_error = DeployError("E_TESTS_MISSING", "nothing says how shop is tested", "", "one\ntwo\nthree")
        return await stage.walked(deploy(auto_approve=True))

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.exit, ended.error.code) == (State.FAILED_NO_CHANGE, 2, "E_TESTS_MISSING")


def test_skipped_tests_do_not_run_and_the_box_stays_open_with_the_word(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        ended = await stage.walked(deploy(auto_approve=True, skip_tests=True, skip_security=True))
        assert stage.tests_ran == 0
        return ended

    ended = on_stage(tmp_path, story)
    assert ended.state is State.SUCCEEDED
    assert ended.boxes["All tests"].startswith("[ ] All tests passing: WAIVED by --skip-tests")
    assert ended.boxes["Security scan"].startswith("[ ] Security scan passed: WAIVED by --skip-security: HIGH RISK")
    assert "HIGH RISK: security skipped" in ended.report.summary.risks


def test_tests_that_take_longer_than_observations_stay_fresh_do_not_close_the_gate(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        stage.tests_take_s = 5 * MINUTE
        return await stage.walked(deploy(auto_approve=True))

    ended = on_stage(tmp_path, story)
    assert ended.state is State.SUCCEEDED, ended.last
    assert ended.boxes["All tests"] == "[x] All tests passing (4 passed, 0 failed)"


def test_what_changed_while_the_tests_ran_is_in_the_plan_that_is_carried_out(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")

        async def meanwhile(planned: int) -> None:
            if planned == 1:
                await stage.served("v1.0.1")

        stage.before_plan = meanwhile
        return await stage.walked(deploy(auto_approve=True))

    ended = on_stage(tmp_path, story)
    first, second = ended.all(PlanMade)
    assert [made.plan.old.version for made in (first, second) if made.plan.old] == ["v1.0.0", "v1.0.1"]
    assert ended.all(ApprovalUsed)[0].plan_hash == second.hash
    assert ended.state is State.SUCCEEDED, ended.last


def test_a_tag_that_was_moved_while_its_tests_ran_is_not_deployed_on_their_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        made = release("v1.1.0", stage.settings.spec).artifact

        async def moved(*_: object) -> object:
            number = stage.planned
            return made.model_copy(update={"commit": f"{number:040d}", "digest": f"{number:064d}"}), ()

        monkeypatch.setattr(stage.readers, "artifact", moved)
        ended = await stage.walked(deploy(auto_approve=True))
        assert stage.reached == []
        return ended

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.error.code) == (State.FAILED_NO_CHANGE, "E_CHECKS")
    assert ended.boxes["All tests"].startswith("[ ] All tests passing: not run (no tests of ")


def test_a_version_that_another_run_brought_while_the_tests_ran_is_not_deployed_again(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")

        async def meanwhile(planned: int) -> None:
            if planned == 1:
                await stage.served("v1.1.0")

        stage.before_plan = meanwhile
        ended = await stage.walked(deploy(auto_approve=True))
        assert stage.reached == []
        return ended

    assert "another run brought v1.1.0 to shop/prod" in on_stage(tmp_path, story).last


# --- what cannot be planned


def test_what_no_plan_can_be_made_of_ends_without_a_change_and_with_something_to_type(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        return await stage.walked(rollback())

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.exit, ended.error.code) == (State.FAILED_NO_CHANGE, 2, "E_NO_PREVIOUS")
    assert ended.error.try_ == "soc-deploy releases shop/prod"
    assert ended.all(PlanMade) == []


def test_a_defect_of_ours_on_the_way_to_the_gate_changes_nothing_and_is_called_one(tmp_path: Path) -> None:
    async def story(stage: Stage) -> Ended:
        async def broken(_: int) -> None:
            raise RuntimeError("a key that is not there")

        stage.before_plan = broken
        return await stage.walked(deploy())

    ended = on_stage(tmp_path, story)
    assert (ended.state, ended.exit, ended.error.code) == (State.FAILED_NO_CHANGE, 2, "E_INTERNAL")


def test_the_ways_out_that_are_printed_can_be_typed(tmp_path: Path) -> None:
    """The rollback command of any ended run parses."""

    async def story(stage: Stage) -> Ended:
        await stage.served("v1.0.0")
        return await stage.walked(deploy(auto_approve=True))

    command = on_stage(tmp_path, story).report.rollback.command
    assert command is not None
    assert parse(command, Known(services=("shop",))).action == "rollback"
