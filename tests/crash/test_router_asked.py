"""The router dies in the very moment in which it is asked: silence for a moment is not a bad release."""

from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import Strategy
from tests.crash.stage import BAD, stage
from tests.crash.strikes import Fate, Strike

pytestmark = pytest.mark.crash

ASKED: dict[tuple[Strategy, Fate], tuple[Strike, ...]] = {
    ("blue-green", "good"): (
        Strike("intent smoke/0-smoke", ("router",)),
        Strike("intent switch/1-confirm", ("router",)),
    ),
    ("blue-green", "bad"): (
        Strike("intent back/confirm/probe", ("router",)),
        Strike("intent back/verify/look", ("router",), 0.98),
    ),
    ("rolling", "good"): (
        Strike("intent rolling/1/1-settle", ("router",), 0.25),
        Strike("intent rolling/2/1-settle", ("router",), 0.15),
    ),
}


@pytest.mark.parametrize(("strategy", "fate"), ASKED)
def test_it_is_asked_again(versions: Path, home: Path, tmp_path: Path, strategy: Strategy, fate: Fate) -> None:
    with stage(versions, home, tmp_path) as here:
        here.deploy(strategy, fate, ASKED[strategy, fate])
        here.users.check([BAD])
