"""The incident report says what the journal says: who was taken back, since when, and whether that worked."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from soc_deploy_mcp.actions.rollback.incident import NOT_RESTORED, Incident, incident
from soc_deploy_mcp.actions.rollback.incident_text import markdown, reading
from soc_deploy_mcp.core import event as ev
from soc_deploy_mcp.core.event import Record, State
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.core.times import iso
from tests.actions.deploy.scene import settings
from tests.actions.rollback.carried import aborted, play
from tests.core.report import journals
from tests.core.report.journals import EVIDENCE, begun, rolled_back, rows
from tests.core.report.journals import plan as planned
from tests.fakes.platform import Behaviour

SECTIONS = [
    *("1 Summary", "2 Impact", "3 Timeline", "4 Detection", "5 Decision", "6 Recovery", "7 Not restored", "8 Cause"),
    *("9 Follow-ups", "10 Evidence"),
]


def section(text: str, number: int) -> str:
    title = SECTIONS[number - 1]
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0].strip()


def taken_back(*more: tuple[float, Any]) -> Incident:
    """A canary that the judge refused; `more` rows stand where the run goes back."""
    p = planned("Canary 10 %")
    live = ev.LineageChanged(change="live", release=p.new)
    records = rows(
        *begun(p),
        (1.0, ev.StepStarted(step=StepKey("canary"), row="Canary 10 %")),
        (2.0, live),
        *more,
    )
    return incident(p, records, State.ROLLED_BACK)


REJECT = ev.VerdictGiven(
    step=StepKey("canary"),
    word="REJECT",
    reason="worse",
    metric="errors",
    weight=10,
    readings=[{"metric": "errors", "canary": [182, 9], "baseline": [1617, 0], "ln_worse": 9.2, "ln_worse_needed": 4.6}],
)
GOING = ev.GoingBack(code="REJECT errors", why="errors: worse", by="judge")
IMPACT = ev.Impact(requests_new=182, errors_new=9, excess_errors=9.0, budget_share=0.004, lost=0)


# --- a release that was taken back


def test_it_says_since_when_users_met_the_release_and_until_when() -> None:
    home = ev.TrafficBack(seconds=0.1, to="v1.1.0")
    made = taken_back((8.0, REJECT), (9.0, GOING), (9.1, home), (9.5, IMPACT))
    assert (made.version, made.counted, made.status) == ("v1.2.0", "v1.2.0", "ROLLED_BACK")
    assert made.began == iso(type(EVIDENCE.at)(journals.BEGAN + 2))
    assert made.ended == iso(type(EVIDENCE.at)(journals.BEGAN + 9.1))
    text = markdown(made)
    assert section(text, 1).startswith("v1.2.0 was taken back from prod. Trigger: REJECT errors: errors: worse.")
    assert "9 of 182 requests to v1.2.0 failed, 9.0 above the baseline" in section(text, 2)
    assert "Error budget of 30 days: 0.4 %" in section(text, 2)
    assert "REJECT errors" in section(text, 4)
    assert "- errors: new 9/182, old 0/1617, ln e(worse) 9.2 of 4.6" in section(text, 4)
    assert section(text, 5).startswith("By judge at ")
    assert "v1.1.0 had all requests 0.100 s after the decision" in section(text, 6)


def test_the_first_bad_word_is_the_detection_and_the_first_decision_counts() -> None:
    later = REJECT.model_copy(update={"word": "CRASH", "metric": ""})
    again = ev.GoingBack(code="operator", why="abort asked for", by="uid:1000")
    made = taken_back((8.0, REJECT), (8.5, later), (9.0, GOING), (9.2, again))
    assert made.detection["word"] == "REJECT"
    assert made.decision["by"] == "judge"


@pytest.mark.parametrize("word", ["CONTINUE", "ACCEPT"])
def test_a_word_that_blames_nobody_detects_nothing(word: str) -> None:
    calm = REJECT.model_copy(update={"word": word})
    assert taken_back((8.0, calm), (9.0, GOING)).detection == {}
    assert section(markdown(taken_back((8.0, calm))), 4) == "Not by the judge."


def test_what_was_not_measured_is_unknown_and_never_nought() -> None:
    blind = IMPACT.model_copy(update={"budget_share": None, "lost": None})
    text = section(markdown(taken_back((9.0, GOING), (9.5, blind))), 2)
    assert "Lost by the platform: unknown." in text
    assert "Error budget of 30 days: unknown." in text
    assert section(markdown(taken_back((9.0, GOING))), 2).endswith("- Not counted.")
    assert reading({"metric": "errors", "canary": None}) == "errors: new unknown"


def test_without_a_confirmation_it_does_not_say_that_the_release_is_gone() -> None:
    text = markdown(taken_back((9.0, GOING)))
    assert "v1.2.0 could not be taken back from prod, as far as is known." in section(text, 1)
    assert "to unknown requests could reach it" in section(text, 2)
    assert section(text, 6) == "Not confirmed."
    assert "soc-deploy releases shop/prod" in section(text, 9)


def test_only_what_was_quarantined_is_called_so() -> None:
    release = planned("Canary 10 %").new
    bad = ev.LineageChanged(change="quarantined", release=release, why="REJECT errors")
    assert "quarantined" not in section(markdown(taken_back((9.0, GOING))), 9)
    assert "v1.2.0 is quarantined until" in section(markdown(taken_back((9.0, GOING), (10.0, bad))), 9)


def test_a_piece_of_evidence_that_was_written_down_twice_is_one() -> None:
    again = ev.EvidenceSeen(evidence=EVIDENCE)
    assert taken_back((8.0, again), (9.0, GOING)).evidence == (f"tests {EVIDENCE.id}",)


def test_its_evidence_can_be_looked_up() -> None:
    made = taken_back((9.0, GOING))
    assert made.evidence == (f"tests {EVIDENCE.id}",)
    assert f"- tests {EVIDENCE.id}\n- 1 pieces of evidence" in section(markdown(made), 10)


def test_text_from_the_application_starts_no_heading_and_ticks_no_box() -> None:
    evil = "Traceback\n# Owned\n- [x] Find the cause\n[here](http://x) <img src=x> ``` " + "x" * 1000
    text = markdown(taken_back((9.0, ev.Notice(level="warning", text=evil, untrusted=True))))
    assert "\n# Owned" not in text
    assert "- [x]" not in text
    html = MarkdownIt("commonmark").render(text)
    assert "<img" not in html
    assert "<a " not in html
    quoted = next(line for line in text.splitlines() if line.startswith("> "))
    assert quoted.endswith(" (untrusted)")
    assert len(quoted) < 400


def test_a_bar_in_a_row_breaks_no_table() -> None:
    odd = ev.StepStarted(step=StepKey("a"), row="Canary | 10 %")
    table = section(markdown(taken_back((8.0, odd))), 3)
    assert "Canary \\| 10 %" in table
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in table.splitlines())


def test_what_no_rollback_brings_back_is_always_said() -> None:
    assert section(markdown(taken_back()), 7).splitlines() == [f"- {each}" for each in NOT_RESTORED]


# --- a rollback by hand, carried out


def test_a_rollback_by_hand_is_about_what_was_left(tmp_path: Path) -> None:
    done = play(tmp_path, reason="customers complain")
    made = done.incident
    assert done.state is State.SUCCEEDED
    assert (made.version, made.counted, made.trigger) == ("v1.1.0", "v1.0.0", "by hand: customers complain")
    text = markdown(made)
    assert section(text, 1).startswith("v1.1.0 was taken back from prod.")
    assert section(text, 5).startswith("By uid:0 at ")
    assert done.report.rollback.triggered.startswith("Yes: by a person (uid:0), decided ")
    assert "operator" not in text
    assert section(text, 2).startswith("- From before this run to 20")
    assert "v1.1.0 is quarantined until" in section(text, 9)
    assert section(text, 6).startswith("v1.0.0 had all requests")


@pytest.mark.parametrize("how", [Behaviour(smoke_status=500), Behaviour(errors=0.5), Behaviour(exits_at_start=True)])
def test_a_rollback_that_fails_does_not_say_that_it_worked(tmp_path: Path, how: Behaviour) -> None:
    impatient = settings("environments: {prod: {deploy: {decision_timeout: 10s, pause_expires: 20s}}}\n")
    done = play(tmp_path, old_behaviour=how, settings=impatient)
    assert done.state is State.NEEDS_OPERATOR
    assert done.scene.platform.weights == {done.scene.new.slug: 100}
    text = markdown(done.incident)
    assert "v1.1.0 could not be taken back from prod, as far as is known." in section(text, 1)
    assert "v1.1.0 is quarantined" not in text
    assert done.incident.ended is None


@pytest.mark.parametrize("how", [{}, {"hot": True}, {"typed": "recreate"}, {"typed": "rolling"}])
def test_every_path_back_ends_with_everybody_on_the_release_and_one_report(tmp_path: Path, how: dict[str, Any]) -> None:
    done = play(tmp_path, **how)
    assert done.state is State.SUCCEEDED
    assert done.scene.platform.weights == {done.scene.old.slug: 100}
    assert done.scene.new.slug not in done.scene.platform.instances
    assert done.scene.platform.lost == 0
    assert len(done.scene.incidents) == 1
    assert "⚠️ ROLLBACK" in done.report.summary.status
    left = [r for r in done.records if isinstance(p := ev.payload(r), ev.LineageChanged) and p.change == "quarantined"]
    assert [ev.payload(row).release.version for row in left] == ["v1.1.0"]  # type: ignore[union-attr]


def test_the_cause_holds_what_the_release_wrote_last(tmp_path: Path) -> None:
    done = play(tmp_path)
    seen = [p for r in done.records if isinstance(p := ev.payload(r), ev.OutputSeen)]
    assert [each.release for each in seen] == ["v1.1.0"]
    assert [len(line) <= 300 for line in seen[0].lines] == [True, True]  # empty lines are left out, long ones cut
    quoted = [line for line in section(markdown(done.incident), 8).splitlines() if line.startswith("> ")]
    assert len(quoted) == 2
    assert "v1.1.0 listens (untrusted)" in quoted[0].replace("\\", "")
    assert "v1.1.0 gives up: why" in quoted[1]
    assert all(line.endswith(" (untrusted)") for line in quoted)


def test_an_aborted_rollback_blames_neither_release(tmp_path: Path) -> None:
    done = aborted(tmp_path, at_row="Verify production health")
    assert done.state is State.ROLLED_BACK
    assert done.scene.platform.weights == {done.scene.new.slug: 100}
    assert done.incident.quarantined == ()


# --- any journal


def whole(text: str) -> None:
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert text.startswith("# Incident: ")
    assert text.endswith("\n")


@examples(max_examples=80, deadline=None)
@given(journals.journals(), st.sampled_from([s for s in State if s.terminal]), st.booleans())
def test_any_journal_gives_ten_sections_and_reads_back_as_json(
    records: list[Record], state: State, by_hand: bool
) -> None:
    p = planned("A step")
    p = p.model_copy(update={"action": "rollback"}) if by_hand else p
    made = incident(p, records, state)
    whole(markdown(made))
    assert Incident.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert markdown(made) == markdown(incident(p, list(records), state))


def test_the_report_of_a_whole_run_and_its_incident_tell_the_same_figures() -> None:
    records: Sequence[Record] = rolled_back()
    made = incident(planned("Start canary v1.2.0", "Canary 10 %", "Canary 50 %"), records, State.ROLLED_BACK)
    whole(markdown(made))
    assert made.impact["errors_new"] == 9
    assert made.recovery == {"to": "v1.1.0", "seconds": 0.1}
