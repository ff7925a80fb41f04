"""`status`, `logs`, `releases`: what a person reads."""

import json
from typing import Any

import pytest

from soc_deploy_mcp.interfaces.cli import looks
from soc_deploy_mcp.interfaces.cli.options import Options
from tests.interfaces.cli.links import OVER, RUN, FakeLink, view

BOARD = {"weight": 10, "word": "ACCEPT", "metric": "", "reason": "", "since": 900.0, "readings": []}


@pytest.fixture
def linked(monkeypatch: pytest.MonkeyPatch) -> Any:
    def link(**answers: Any) -> FakeLink:
        made = FakeLink(**answers)
        monkeypatch.setattr(looks, "open_link", lambda: made)
        return made

    return link


def shown(of: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"run": of, "steps": [], "board": {}, "now": 1000.0} | more


def test_a_run_at_work_says_its_step_and_what_the_judge_says(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    board = BOARD | {"word": "CONTINUE", "metric": "synthetic_errors", "reason": "not_accepted"}
    linked(view=view(), live=shown(view(), board=board))
    assert looks.status([RUN], Options()) == 10
    out = capsys.readouterr().out
    assert "step 2 of 6: Canary 10 %" in out
    assert "judge at 10 %: CONTINUE errors of our probes not accepted, 100 s" in out


def test_a_verdict_without_a_metric_leaves_no_holes(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    linked(view=view(), live=shown(view(), board=BOARD))
    looks.status([RUN], Options())
    assert "judge at 10 %: ACCEPT, 100 s" in capsys.readouterr().out


def test_a_step_says_how_long_it_takes_already(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    linked(view=view(), live=shown(view(), since=991.0))
    looks.status([RUN], Options())
    assert "step 2 of 6: Canary 10 %, 9 s\n" in capsys.readouterr().out


def test_the_list_says_when_each_run_began(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    linked(runs=[view(created_at=1795422249.0), view()])
    looks.status([], Options())
    first, second = capsys.readouterr().out.splitlines()
    assert "2026-11-23 08:24 UTC" in first
    assert "1970-01-01 00:16 UTC" in second


def test_a_run_that_is_over_has_no_current_step(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    linked(view=OVER, live=shown(OVER))
    assert looks.status([RUN], Options()) == 0
    assert "step" not in capsys.readouterr().out


def test_no_runs_say_what_to_type(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    linked(runs=[])
    assert looks.status([], Options()) == 0
    said = capsys.readouterr()
    assert said.out == "No runs yet.\n"
    assert "--action deploy" in said.err


def test_json_is_json_for_every_look(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    linked(runs=[view()], view=view(), live=shown(view()), releases={"releases": []}, logs=[], journal=[{"seq": 1}])
    for command, words in (("status", []), ("status", [RUN]), ("releases", ["prod"]), ("logs", ["prod"])):
        looks.COMMANDS[command](words, Options(json=True))
        json.loads(capsys.readouterr().out)
