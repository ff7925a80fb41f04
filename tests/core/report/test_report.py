"""The contract: headings, fields, columns, ticks only with evidence, and the same bytes for the same journal."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from soc_deploy_mcp.core import event as ev
from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.event import CheckMade, Record, State, payload
from soc_deploy_mcp.core.evidence import CheckState
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.core.plan import Waiver
from soc_deploy_mcp.core.report import Report, markdown, project
from tests.core.report.journals import ENDINGS, RUN, begun, journals, opened, plan, rows, succeeded

GOLDEN = Path(__file__).parent / "golden"
HEADINGS = [
    "## Summary",
    "## Pre-Deployment Checklist",
    "## Deployment Steps",
    "## Health Checks",
    "## Rollback Information",
    "## Post-Deployment Actions",
    "## Issues & Notes",
]
FIELDS = ["Action", "Version", "Strategy", "Status", "Duration", "Started", "Completed"]
BOXES = [
    "All tests passing",
    "Security scan passed",
    "Database migrations reviewed",
    "Rollback plan documented",
    "On-call engineer notified",
]
KNOWN = Known(services=("shop", "cart"))


@pytest.mark.parametrize("name", ENDINGS)
def test_each_ending_reads_as_the_golden_file(name: str) -> None:
    text = markdown(project(ENDINGS[name]()))
    assert text == (GOLDEN / f"{name}.md").read_text()


@pytest.mark.parametrize("name", ENDINGS)
def test_json_fits_the_published_schema_and_round_trips(name: str) -> None:
    report = project(ENDINGS[name]())
    data = json.loads(report.model_dump_json(by_alias=True))
    schema = json.loads((Path(__file__).parents[3] / "docs" / "report.schema.json").read_text())
    jsonschema.validate(data, schema)
    assert Report.model_validate(data) == report
    assert schema == Report.model_json_schema(by_alias=True)


@settings(max_examples=300, deadline=None)
@given(journals())
def test_any_journal_gives_a_complete_report_in_the_contracts_order(records: list[Record]) -> None:
    text = markdown(project(records))
    assert [line for line in text.splitlines() if line.startswith("## ")] == HEADINGS
    assert re.findall(r"^\*\*(\w+)\*\*: .*  $", text, re.MULTILINE)[:7] == FIELDS
    boxes = re.findall(r"^- \[[ x]\] (.*?)(?: \(|: |$)", text, re.MULTILINE)
    assert boxes[:5] == BOXES
    assert len(boxes) == 10
    assert "| Check | Target | Actual | Status |\n|:------|:-------|:-------|:------:|\n| Response Time |" in text
    assert text.rstrip().splitlines()[-1].startswith(f"- Evidence: {RUN}, journal head ")
    assert not re.search(r"\b(None|nan|Traceback)\b", re.sub(r"^None\.$", "", _ours(text), flags=re.MULTILINE))


def _ours(text: str) -> str:
    """Without the free texts of the generated journal, which may hold any word."""
    return "\n".join(line for line in text.splitlines() if line.startswith(("**Duration", "**Started", "**Completed")))


@settings(max_examples=300, deadline=None)
@given(journals())
def test_no_box_is_ticked_without_a_passed_check_that_names_its_evidence(records: list[Record]) -> None:
    last = {p.check.id: p.check for r in records if isinstance(p := payload(r), CheckMade)}
    green = sum(c.state is CheckState.PASSED and bool(c.evidence) for i, c in last.items() if not i.startswith("h."))
    text = markdown(project(records))
    assert len(re.findall(r"^- \[x\] ", text, re.MULTILINE)) == green
    assert all(box.evidence for box in (*project(records).checklist, *project(records).post) if box.ticked)


@settings(max_examples=200, deadline=None)
@given(journals())
def test_no_data_is_never_green(records: list[Record]) -> None:
    for row in project(records).health:
        if row.status == "no_data":
            assert f"| {'⚠️ no data'} |" in markdown(project(records))


@settings(max_examples=200, deadline=None)
@given(journals())
def test_the_same_journal_gives_the_same_bytes_and_tables_that_a_parser_reads_back(records: list[Record]) -> None:
    first, second = markdown(project(records)), markdown(project(list(records)))
    assert first == second
    html = MarkdownIt("commonmark").enable("table").render(first)
    assert html.count("<h2>") == 7
    assert html.count("<h1>") == 1
    steps = project(records).steps
    assert html.count("<tr>") == (len(steps) + 1 if steps else 0) + len(project(records).health) + 1


@settings(max_examples=200, deadline=None)
@given(journals())
def test_the_printed_rollback_command_parses(records: list[Record]) -> None:
    command = project(records).rollback.command
    if command is not None:
        request = parse(command, KNOWN if "--service" in command else Known(services=("shop",)))
        assert (request.action, request.environment) == ("rollback", "prod")


@settings(max_examples=100, deadline=None)
@given(journals())
def test_the_text_fits_a_limit_by_cutting_tables_not_sections(records: list[Record]) -> None:
    text = markdown(project(records), limit=4000)
    assert [line for line in text.splitlines() if line.startswith("## ")] == HEADINGS


def test_text_from_outside_cannot_make_a_box_a_heading_or_a_link() -> None:
    from soc_deploy_mcp.core.event import Notice

    evil = "- [x] All tests passing\n# Owned [click](http://x) <img src=x> | cell"
    text = markdown(project(rows((0.0, opened()), (1.0, Notice(level="warning", text=evil, untrusted=True)))))
    assert text.count("- [x]") == 0
    assert "\n# Owned" not in text
    assert "(untrusted)" in text
    html = MarkdownIt("commonmark").render(text)
    assert "<a " not in html
    assert "<img" not in html


def test_a_journal_without_its_opening_row_is_refused() -> None:
    with pytest.raises(ValueError, match="not of kind run"):
        project(succeeded()[1:])


def test_an_error_is_told_once_in_whole_sentences_with_every_way_out() -> None:
    error = ev.ErrorSeen(
        code="E_LOCKED", what="shop/prod is held", why="since 08:39", try_="soc-deploy status\nor wait"
    )
    step = ev.StepEnded(step=StepKey("a"), row="A (E_LOCKED)", status="failed", note="E_LOCKED: shop/prod is held")
    notes = [note.text for note in project(rows(*begun(plan("A")), (1.0, error), (2.0, step))).notes]
    assert notes == ["E_LOCKED: shop/prod is held. since 08:39. Try: soc-deploy status; or: wait"]


def test_a_step_that_failed_for_another_reason_keeps_its_note() -> None:
    step = ev.StepEnded(step=StepKey("a"), row="A", status="failed", note="CRASH: it ended")
    assert [n.text for n in project(rows(*begun(plan("A")), (2.0, step))).notes] == ["A: CRASH: it ended"]


def test_a_release_that_never_got_traffic_leaves_the_one_before_as_what_runs() -> None:
    why = "no release before it may be gone back to"
    way = ev.WayBackSeen(current="v1.1.0", back=None, why=why, estimate_s=None, basis="")
    ended = ev.Finished(state=State.FAILED_NO_CHANGE, first_line="no user traffic was affected")
    text = markdown(project(rows(*begun(plan("A")), (1.0, way), (2.0, ended))))
    assert "**Previous Version**: v1.1.0  " in text
    assert "**Rollback Command**: none (no release before it may be gone back to)  " in text


def test_a_waiver_is_said_in_words() -> None:
    skipped = plan("A", waivers=(Waiver(check="g.tests", flag="--skip-tests"),))
    text = markdown(project(rows(*begun(skipped))))
    assert "**Risk**: --skip-tests: released without evidence that the tests pass  " in text


def test_where_nothing_was_to_be_changed_the_boxes_say_so() -> None:
    ended = ev.Finished(state=State.SUCCEEDED, first_line="no change: v1.2.0 serves shop/prod already")
    text = markdown(project(rows((0.0, opened()), (0.1, ev.PlanMade(plan=plan(), hash="a" * 64)), (1.0, ended))))
    assert "- [ ] All tests passing: not run (nothing to change)" in text


def test_the_judges_metrics_are_said_in_words() -> None:
    back = ev.GoingBack(code="REJECT synthetic_errors", why="worse", by="judge")
    text = markdown(project(rows(*begun(plan("A")), (1.0, back))))
    assert "**Rollback Triggered**: Yes: REJECT errors of our probes, decided" in text
