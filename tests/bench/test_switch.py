"""What `bench.switch` makes of its records, and how it ends where the rival is not there."""

import json
from pathlib import Path

import pytest

from bench import _report
from bench.switch import SPANS, Figures, Turn, compared, first_answer_ms, goals

TURN = Turn("switch", "v2", 100.0)
FIGURES: Figures = {"soc-deploy: requests": 30_000, "soc-deploy: failed": 0, "soc-deploy: switches": 40}


def figures(name: str, ms: float) -> Figures:
    return {f"{name}: {span} {what} ms": ms for span in SPANS for what in ("p50", "worst")}


def test_the_time_ends_with_the_first_answer_of_the_new_version_after_the_command() -> None:
    ended = [(99.9, "v2"), (100.01, "v1"), (100.3, "v2"), (100.2, "v2"), (100.25, "v1")]
    assert first_answer_ms(TURN, ended) == pytest.approx(200)


def test_a_version_that_never_answers_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        first_answer_ms(TURN, [(99.9, "v2"), (100.01, "v1")])


@pytest.mark.parametrize(("ours_ms", "code"), [(40, 0), (60, 1), (120, 1)])
def test_the_worst_may_be_half_of_the_rivals(
    ours_ms: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_report, "RESULTS", tmp_path)
    both = FIGURES | figures("soc-deploy", ours_ms) | figures("kamal-proxy", 100)
    assert _report.finish("switch", both | compared(both), goals(20_000, 20), {}) == code


def test_a_rival_that_is_not_there_is_no_goal_met_and_none_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_report, "RESULTS", tmp_path)
    alone = FIGURES | figures("soc-deploy", 40)
    ratios = compared(alone)
    assert _report.finish("switch", alone | ratios, goals(20_000, 20), {}, not_run=list(ratios)) == 0
    met = {figure: goal[2] for figure, goal in json.loads((tmp_path / "switch.json").read_text())["goals"].items()}
    compare = {figure for figure in ratios if figure.startswith("release")}
    assert {figure for figure, value in met.items() if value is None} == compare
    assert met["soc-deploy: failed"] is True
    assert capsys.readouterr().out.count("not run") == len(compare) + 1
