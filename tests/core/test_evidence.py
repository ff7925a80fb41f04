"""Nothing is green without evidence, and what is stale, missing or ambiguous is no evidence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from soc_deploy_mcp.core.evidence import Check, CheckState, Evidence, Facts, Missing, observed, passed
from soc_deploy_mcp.core.ids import Instant

NOW = Instant(1_795_000_000.0)


def seen(kind: str = "tests", subject: str = "c1", at: float = NOW, figure: str = "4 passed") -> Evidence:
    return observed(kind, subject, tool="unittest", query="run", figure=figure, at=Instant(at))


@pytest.mark.parametrize("state", [CheckState.PASSED, CheckState.PARTIAL])
def test_a_green_check_without_evidence_cannot_be_made(state: CheckState) -> None:
    with pytest.raises(ValidationError, match="without evidence"):
        Check(id="g.tests", title="All tests passing", state=state, reason="trust me")


@pytest.mark.parametrize("state", [CheckState.FAILED, CheckState.NOT_RUN, CheckState.WAIVED])
def test_an_open_check_says_why(state: CheckState) -> None:
    with pytest.raises(ValidationError, match="without a reason"):
        Check(id="g.tests", title="All tests passing", state=state, evidence=(seen().id,))


def test_passed_takes_no_empty_list_for_evidence() -> None:
    with pytest.raises(ValidationError, match="without evidence"):
        passed("g.tests", "All tests passing", ())


@given(st.sampled_from(CheckState), st.booleans())
def test_only_a_required_check_that_failed_or_did_not_run_blocks(state: CheckState, required: bool) -> None:
    check = Check(id="a", title="A", state=state, reason="why", evidence=(seen().id,), required=required)
    assert check.blocks is (required and state in (CheckState.FAILED, CheckState.NOT_RUN))


def test_the_id_of_evidence_changes_with_everything_in_it() -> None:
    ids = {seen().id, seen(kind="scan").id, seen(subject="c2").id, seen(at=NOW + 1).id, seen(figure="5 passed").id}
    assert len(ids) == 5


def test_what_is_not_there_or_too_old_is_missing_and_says_why() -> None:
    facts = Facts([seen(at=NOW - 61)], NOW)
    assert facts.get("tests", "c2") == Missing("no tests of c2")
    assert facts.get("tests", "c1", 60.0) == Missing("stale, 61 s > 60 s")
    assert facts.get("tests", "c1", 61.0) == seen(at=NOW - 61)
    assert not facts.get("scan", "c1")


def test_the_only_evidence_of_a_kind_is_only_taken_when_it_is_the_only_one() -> None:
    assert Facts([], NOW).only("tests") == Missing("no tests")
    assert Facts([seen()], NOW).only("tests") == seen()
    assert Facts([seen(), seen(subject="c2")], NOW).only("tests") == Missing("2 subjects of tests")


def test_the_last_word_about_a_subject_counts() -> None:
    newer = seen(at=NOW + 5, figure="5 passed")
    assert Facts([seen(), newer], NOW).get("tests", "c1") == newer
