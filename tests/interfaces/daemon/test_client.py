"""A client whose daemon is killed under it: what only reads is asked again, an order never is."""

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.interfaces.daemon import client as module
from soc_deploy_mcp.interfaces.daemon.client import LOSSES, Client


class Dying:
    """Daemons of which the first `deaths` are killed before they answer."""

    def __init__(self, deaths: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.asked = deaths, 0
        self.client = Client.__new__(Client)
        for name, method in (("_ask", self.ask), ("_reach", lambda: None), ("close", lambda: None)):
            monkeypatch.setattr(self.client, name, method)
        monkeypatch.setattr(module.time, "sleep", lambda seconds: None)

    def ask(self, method: str, params: object) -> str:
        self.asked += 1
        if self.asked <= self.left:
            raise ConnectionError("the daemon hung up")
        return "answer"


@pytest.mark.parametrize("deaths", range(LOSSES + 1))
def test_a_question_is_asked_again_when_the_next_daemon_is_killed_too(
    monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    assert Dying(deaths, monkeypatch).client.call("report", run="run_1") == "answer"


@pytest.mark.parametrize(("method", "deaths", "asked"), [("report", LOSSES + 1, LOSSES + 1), ("begin", 1, 1)])
def test_a_daemon_that_stays_away_is_an_error_for_people(
    monkeypatch: pytest.MonkeyPatch, method: str, deaths: int, asked: int
) -> None:
    daemons = Dying(deaths, monkeypatch)
    with pytest.raises(DeployError) as caught:
        daemons.client.call(method)
    assert caught.value.code == "E_DAEMON"
    assert daemons.asked == asked
