"""A command line from its start to the exit code, at a terminal and without one."""

import json
from typing import Any

import pytest

from soc_deploy_mcp.interfaces.cli import line
from soc_deploy_mcp.interfaces.cli.options import Options
from tests.interfaces.cli.links import OVER, RUN, WAITING, FakeLink, event, view

WORDS = ("prod", "--action", "deploy", "--version", "v1.2.0")


@pytest.fixture
def linked(monkeypatch: pytest.MonkeyPatch) -> Any:
    def link(**answers: Any) -> FakeLink:
        made = FakeLink(**answers)
        monkeypatch.setattr(line, "open_link", lambda: made)
        return made

    return link


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)


def report(run: str, form: str) -> str:
    return '{"schema": 1}\n' if form == "json" else "# Deployment Report: v1.2.0 → prod\n"


def test_the_report_is_on_stdout_and_progress_is_not(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    linked(begin=view(), view=OVER, report=report, events=[event("⏳ Canary 10 %"), None])
    assert line.run(WORDS, Options(plain=True)) == 0
    said = capsys.readouterr()
    assert said.out == "# Deployment Report: v1.2.0 → prod\n"
    assert "08:24:09 [1/6] ⏳ Canary 10 %" in said.err
    assert said.err.endswith("SUCCEEDED: v1.2.0 serves shop/prod\n")


def test_json_is_all_there_is(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    linked(begin=view(), view=OVER, report=report, events=[event("⏳ Canary 10 %")])
    assert line.run(WORDS, Options(json=True)) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"schema": 1}
    assert said.err == ""


def test_detached_prints_the_id_alone_and_says_it_is_not_over(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    linked(begin=view())
    assert line.run(WORDS, Options(detach=True)) == 10
    said = capsys.readouterr()
    assert said.out == f"{RUN}\n"
    assert f"soc-deploy status {RUN} --watch" in said.err


def test_ctrl_c_says_that_the_run_goes_on_and_how_to_find_it(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    link = linked(begin=view(), view=view(), events=[event("⏳ Canary 10 %")])
    link.interrupts = True
    assert line.run(WORDS, Options(plain=True)) == 10
    assert f"The run goes on: soc-deploy status {RUN} --watch" in capsys.readouterr().err
    assert "control" not in [method for method, _ in link.calls]


def test_without_a_person_a_run_that_waits_is_not_deployed(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    linked(begin=view(), view=WAITING, events=[])
    assert line.run(WORDS, Options(plain=True)) == 10
    err = capsys.readouterr().err
    assert "Approve run?" in err
    assert "NOT DEPLOYED: waits for approval" in err
    assert f"soc-deploy approve {RUN}" in err


@pytest.mark.parametrize(("answer", "method"), [("y\n", "approve"), ("\n", "reject"), ("nope\n", "reject")])
def test_only_a_yes_at_the_terminal_approves(
    linked: Any, monkeypatch: pytest.MonkeyPatch, answer: str, method: str
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin.readline", lambda: answer, raising=False)
    link = linked(begin=view(), view=(WAITING, OVER), approve=view(), reject=view(), report=report)
    line.run(WORDS, Options(plain=True))
    assert method in [name for name, _ in link.calls]
    assert {"approve": "reject", "reject": "approve"}[method] not in [name for name, _ in link.calls]
