"""A run lives in the daemon: whatever becomes of the chat that started it, it goes on, and the next chat finds it."""

import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.e2e.conftest import Make
from tests.support.chat import Chat, chat
from tests.support.product import LENIENT, Product, deploying

CANARY = " ".join(deploying("v1.1.0", "--strategy", "canary")[:-1])
# Long enough for a process to die within the first step.
WATCHFUL: Mapping[str, Any] = {"deploy": {"canary": {"min": "5s"}}}


def killed(number: int) -> Callable[[Chat], int]:
    def kill(talk: Chat) -> int:
        talk.process.send_signal(number)
        return talk.process.wait(30)

    return kill


def closed(talk: Chat) -> int:
    assert talk.process.stdin is not None
    talk.process.stdin.close()
    return talk.process.wait(30)


@pytest.mark.parametrize(
    ("die", "code"),
    [
        pytest.param(killed(signal.SIGTERM), -signal.SIGTERM, id="SIGTERM"),
        pytest.param(killed(signal.SIGINT), -signal.SIGINT, id="SIGINT"),
        pytest.param(killed(signal.SIGKILL), -signal.SIGKILL, id="SIGKILL"),
        pytest.param(closed, 0, id="closed stdin"),
    ],
)
def test_the_rollout_goes_on_and_the_next_chat_sees_it(make: Make, die: Callable[[Chat], int], code: int) -> None:
    shop = make(LENIENT, WATCHFUL)
    shop.first()
    with chat(shop) as talk:
        talk.send_call("soc_deploy", instruction=CANARY)
        talk.wait_progress("50 %")
        run = newest(shop)
        shop.wait_weight(run, 50)
        assert die(talk) == code
        assert stderr_of(talk.process) == ""
    assert len(shop.shifts(run)) == 1, "in the middle of it, and nothing else has moved the traffic"

    with chat(shop) as other:
        assert run in [each["run_id"] for each in other.call("status").structured["data"]["runs"]]
        ended = other.follow(other.call("status", run_id=run))
    assert ended.state == "succeeded", ended.text
    assert [shift.keys() for shift in shop.shifts(run)][-1] == {shop.slug("v1.1.0")}
    assert shop.answered_by() == "v1.1.0"
    told = shop.do("status")
    assert [line for line in told.out.splitlines() if run[:16] in line and "SUCCEEDED" in line], told
    assert shop.report(run).status == "✅ SUCCESS"


def newest(shop: Product) -> str:
    """The run that began last, as the command line lists it."""
    views = shop.do("status", "--format", "json").json()
    return str(max(views, key=lambda view: view["created_at"])["id"])


def stderr_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.read()
