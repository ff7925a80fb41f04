"""Every answer has one shape, two forms, and a size."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.errors import CODES, DeployError
from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.core.ids import Instant, RunId
from soc_deploy_mcp.interfaces.doors import RunView, Waiting
from soc_deploy_mcp.interfaces.mcp.outcome import LIMIT, Outcome, fit, of_error, of_view, text_of, to_result

RUN = RunId("run_" + "0" * 32)
WORDS = st.text(st.characters(exclude_characters="|\n", exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=40)
REPORTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.builds(
    lambda line, times: f"# Report\n\n{line}\n" * times, WORDS, st.integers(1, 900)
)
_FOOTER = re.compile(r"^--- soc-deploy: state=(\w+)(?: run=(\w+))?(?: error=(\w+))? next: (.*)$")


def view(state: State = State.RUNNING, **more: Any) -> RunView:
    return RunView(
        id=RUN, state=state, line="/soc-deploy prod", target="shop/prod", action="deploy", created_at=Instant(0), **more
    )


def waiting() -> Waiting:
    return Waiting(
        question_id="q", question="?", command=f"soc-deploy approve {RUN}", elicit=True, expires_at=Instant(9)
    )


def texts(outcome: Outcome, limit: int = LIMIT) -> tuple[str, dict[str, Any]]:
    result = to_result(outcome, limit)
    return result.content[0].text, result.structured_content  # type: ignore[union-attr]


@given(st.sampled_from(list(State)), REPORTS, st.lists(WORDS, max_size=3))
def test_the_text_starts_with_the_report_and_its_footer_reads_back(state: State, report: str, then: list[str]) -> None:
    outcome = of_view(view(state, next=tuple(then)), report)
    text, structured = texts(outcome)
    assert text.startswith(structured["report_markdown"])
    found = _FOOTER.match(text.rpartition("\n")[2])
    assert found is not None
    assert found[1] == structured["state"] == state.value.lower()
    assert found[2] == structured["run_id"] == RUN
    assert found[4] == (" | ".join(structured["next"]) or "nothing")


@given(st.sampled_from(list(State)), REPORTS, st.text(max_size=50), st.integers(2_000, 9_000))
def test_both_forms_stay_within_the_limit(state: State, report: str, note: str, limit: int) -> None:
    text, structured = texts(of_view(view(state), report, note), limit)
    assert len(text.encode()) <= limit
    assert len(json.dumps(structured, ensure_ascii=False).encode()) <= limit


def test_a_cut_report_says_where_the_rest_is_and_ends_with_a_whole_line() -> None:
    report = "# Report\n" + "".join(f"| step {number} | ok |\n" for number in range(2000))
    outcome = fit(of_view(view(), report), LIMIT)
    body, _, more = outcome.report_markdown.rpartition("\n\n")
    assert more == f"… cut; all of it: deployment://{RUN}/report"
    assert body.endswith("| ok |")


def test_a_short_report_is_not_touched() -> None:
    assert of_view(view(), "# Report").report_markdown == "# Report"
    assert fit(of_view(view(), "# Report"), LIMIT).report_markdown == "# Report"


@pytest.mark.parametrize("state", list(State))
def test_only_what_went_wrong_is_an_error(state: State) -> None:
    bad = {State.ROLLED_BACK, State.FAILED_NO_CHANGE, State.NEEDS_OPERATOR}
    assert to_result(of_view(view(state), "")).is_error is (state in bad)


def test_waiting_is_no_error_and_says_first_that_nothing_was_deployed() -> None:
    outcome = of_view(view(State.WAITING_APPROVAL, waiting=waiting()), "# Report")
    text, structured = texts(outcome)
    assert text.splitlines()[0] == "**NOT DEPLOYED: waits for approval**"
    assert structured["next"] == [f"soc-deploy approve {RUN}", f'status(run_id="{RUN}", wait_s=40)']
    assert structured["data"]["approval"] == {"command": f"soc-deploy approve {RUN}", "expires_at": 9}


def test_while_it_is_open_the_next_step_is_to_look_again() -> None:
    assert of_view(view(), "").next == [f'status(run_id="{RUN}", wait_s=40)']
    assert of_view(view(State.SUCCEEDED, next=("soc-deploy rollback",)), "").next == ["soc-deploy rollback"]


@given(st.sampled_from(sorted(CODES)), st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_an_error_is_told_in_both_forms(code: str, what: str, why: str, try_: str) -> None:
    result = to_result(of_error(DeployError(code, what, why, try_)))
    assert result.is_error
    assert result.structured_content["error"] == {"code": code, "what": what, "why": why, "try": try_}
    assert f"error={code}" in text_of(of_error(DeployError(code, what, why, try_)))


def test_nothing_is_null_on_the_wire() -> None:
    for outcome in (of_view(view(), ""), of_error(DeployError("E_USAGE", "x"))):
        assert "null" not in json.dumps(to_result(outcome).structured_content)
        Outcome.model_validate(to_result(outcome).structured_content)


def test_what_a_control_did_stands_before_the_report() -> None:
    told = of_view(view(State.SUCCEEDED, first_line="nothing to abort"), "# Report").report_markdown
    assert told == "nothing to abort\n\n# Report"
    assert of_view(view(first_line="seen"), "# seen").report_markdown == "# seen"
