"""The live view is a pure picture of what the application shows."""

import io
from typing import Any

import pytest
from rich.console import Console

from soc_deploy_mcp.interfaces.cli import live, paint
from tests.interfaces.cli.links import view


def reading(metric: str, **more: Any) -> dict[str, Any]:
    usual = {
        "metric": metric, "required": True, "canary": [200, 10], "baseline": [1800, 1], "accepted": False,
        "ln_worse": 3.0, "ln_worse_needed": 6.0, "ln_safe": None, "ln_safe_needed": 3.0,
    }  # fmt: skip
    return usual | more


def release(version: str, weight: int | None) -> dict[str, Any]:
    counts = {"ready": 2, "instances": 2, "restarts": 0, "in_flight": 0}
    return {"version": version, "slug": version, "weight": weight} | counts


def drawn(width: int = 120, **more: Any) -> str:
    board = {
        "weight": 10, "word": "CONTINUE", "metric": "synthetic_errors", "reason": "not_accepted", "since": 980.0,
        "readings": [reading("errors"), reading("synthetic_errors", required=False)],
    }  # fmt: skip
    shown = {
        "run": view(),
        "steps": [{"status": "ok", "action": "Start [canary] v1.2.0", "duration_s": 1.94}],
        "board": board,
        "platform": {"releases": [release("v1.1.0", 90), release("v1.2.0", 10)]},
        "now": 1000.0,
    } | more
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(live.picture(shown))
    return out.getvalue()


def test_it_shows_steps_weights_counts_and_the_judge() -> None:
    text = drawn()
    for part in ("deploy v1.2.0", "shop/prod", "Start [canary] v1.2.0", "1.9s", "90 %", "10/200", "1/1,800", "20 s"):
        assert part in text


def test_a_step_that_is_being_worked_on_counts_its_seconds() -> None:
    """Else nothing moves while the old release is measured."""
    steps = [{"status": "running", "action": "Measure v1.1.0", "duration_s": None}]
    assert "Measure v1.1.0 7s …" in drawn(steps=steps, since=993.0)
    assert "Measure v1.1.0" in drawn(steps=steps, since=None)


def test_metrics_are_said_in_words() -> None:
    text = drawn()
    assert "errors of our probes" in text
    assert "synthetic_errors" not in text


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_is_no_error(width: int) -> None:
    assert all(len(line) <= width for line in drawn(width).splitlines())


def test_unknown_weights_and_no_board_are_drawn_too() -> None:
    assert "?" in drawn(platform={"releases": [release("v1.1.0", None)]})
    assert "judge" not in drawn(board={})
    assert "deploy v1.2.0" in drawn(board={}, platform={"error": "the router does not answer"})


def test_a_painted_report_keeps_every_word(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    boxes, table = "- [x] Tests (4)\n- [ ] Scan: not run\n", "| A | B |\n|:--|:-:|\n| 1\\|2 | ✅ |\n"
    text = f"# Report: v1 → prod\n**Status**: ✅ [link](x)  \n{boxes}{table}"
    paint.report(text)
    out = capsys.readouterr().out
    for part in ("Report: v1 → prod", "Status: ✅ [link](x)", "✓ Tests (4)", "☐ Scan: not run", "1|2"):
        assert part in out
