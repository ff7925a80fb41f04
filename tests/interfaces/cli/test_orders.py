"""Orders to a run, and what is said about them."""

from typing import Any

import pytest

from soc_deploy_mcp.interfaces.cli import orders
from soc_deploy_mcp.interfaces.cli.options import Options
from tests.interfaces.cli.links import RUN, FakeLink, view


@pytest.fixture
def linked(monkeypatch: pytest.MonkeyPatch) -> Any:
    def link(**answers: Any) -> FakeLink:
        made = FakeLink(**answers)
        monkeypatch.setattr(orders, "open_link", lambda: made)
        return made

    return link


def test_an_order_is_asked_for_and_does_not_repeat_the_old_state(
    linked: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    paused = view(state="PAUSED", reason="inconclusive", first_line="PAUSED (inconclusive): no decision after 3m")
    link = linked(control=paused)
    assert orders.COMMANDS["promote"]([RUN, "--reason", "seen enough"], Options()) == 0
    assert capsys.readouterr().out == f"{RUN} shop/prod: promote: asked for\n"
    assert link.calls == [("control", {"run": RUN, "verb": "promote", "reason": "seen enough"})]


def test_abort_of_a_run_that_is_over_says_so_and_is_no_error(linked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    linked(control=view(ended_at=1.0, state="SUCCEEDED", first_line="nothing to abort: the run is over", next=[]))
    assert orders.COMMANDS["abort"]([RUN], Options()) == 0
    assert "abort: nothing to abort: the run is over" in capsys.readouterr().out


def test_only_pause_can_be_unattended(linked: Any) -> None:
    link = linked(control=view())
    orders.COMMANDS["pause"]([RUN, "--unattended"], Options())
    assert link.calls[0][1]["unattended"] is True
    from soc_deploy_mcp.core.errors import DeployError

    with pytest.raises(DeployError, match="unattended"):
        orders.COMMANDS["abort"]([RUN, "--unattended"], Options())
