"""The router's changes when others write too: read again, decide again."""

from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch, Slug
from soc_deploy_mcp.tools.local.guard_client import Conflict, GuardDown, Status
from soc_deploy_mcp.tools.local.layout import Place
from soc_deploy_mcp.tools.local.proc import PortOwner
from soc_deploy_mcp.tools.local.router import OFF, Router, check_entry_free
from soc_deploy_mcp.tools.local.state import RouterState, shifted
from tests.tools.local.builders import NEW, OLD, serving

FIRST = Epoch(1)


class Contested:
    """A guard behind which others write: each of `theirs` gets in before one write of ours."""

    def __init__(self, *theirs: RouterState) -> None:
        self.state, self.seq, self.theirs = serving(95, 5), 1, list(theirs)
        self.tried: list[RouterState] = []

    async def status(self, within_s: float = 1.0) -> Status:
        return Status(FIRST, self.seq, f"1.{self.seq}", self.state, written=True, timer=None, fired_at=None)

    async def apply(self, seen: Status, epoch: Epoch, *, state: RouterState, **_: Any) -> None:
        self.tried.append(state)
        if self.theirs:
            self.state, self.seq = self.theirs.pop(0), self.seq + 1
        if seen.seq != self.seq:
            raise Conflict
        self.state, self.seq = state, self.seq + 1


@pytest.fixture
def router(tmp_path: Path) -> Router:
    place = Place(tmp_path, tmp_path / "target")
    place.make()
    return Router(place)


async def change(router: Router, guard: Any) -> list[dict[Slug, int]]:
    """Everybody to the old release; the weights that were decided on, each time."""
    router.guard, found = guard, []

    def decide(state: RouterState) -> RouterState:
        found.append(dict(state.routes.weights))
        return shifted(state, {OLD: 100})

    await router._change(FIRST, decide, OFF, confirm=False)
    return found


async def test_r15_a_conflict_is_read_again_and_decided_again(router: Router) -> None:
    """R15: no write from a stale cache: what others wrote meanwhile is what the next decision looks at."""
    guard = Contested(serving(90, 10), serving(80, 20))
    assert await change(router, guard) == [{OLD: 95, NEW: 5}, {OLD: 90, NEW: 10}, {OLD: 80, NEW: 20}]
    assert guard.state.routes.weights == {OLD: 100}


async def test_r15_many_conflicts_end_in_words_and_not_in_a_write(router: Router) -> None:
    theirs = [serving(100 - n, n) for n in range(1, 99)]
    guard = Contested(*theirs)
    with pytest.raises(DeployError) as caught:
        await change(router, guard)
    assert caught.value.code == "E_ROUTER_DOWN"
    assert guard.state in theirs


async def test_a_guard_that_is_just_started_again_is_written_to_when_it_is_back(router: Router) -> None:
    class Gone(Contested):
        gone = 2

        async def apply(self, seen: Status, epoch: Epoch, *, state: RouterState, **more: Any) -> None:
            if self.gone:
                self.gone -= 1
                raise GuardDown
            await super().apply(seen, epoch, state=state, **more)

    guard = Gone()
    await change(router, guard)
    assert guard.state.routes.weights == {OLD: 100}


async def test_a_guard_that_is_gone_with_its_supervisor_is_started_and_asked_again(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(Contested):
        starts = 0

        async def status(self, within_s: float = 1.0) -> Status:
            if not self.starts:
                raise GuardDown
            return await super().status(within_s)

    guard = Gone()

    async def started() -> None:
        guard.starts += 1

    monkeypatch.setattr(router, "guard_up", started)
    await change(router, guard)
    assert guard.state.routes.weights == {OLD: 100}
    assert guard.starts == 1


async def test_a_guard_that_ends_whenever_it_is_asked_is_told_of(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Contested):
        async def status(self, within_s: float = 1.0) -> Status:
            raise GuardDown

    async def started() -> None:
        """It answers, and ends before the next question."""

    monkeypatch.setattr(router, "guard_up", started)
    with pytest.raises(DeployError, match="ends as fast as it is started"):
        await change(router, Broken())


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("/h/bin/envoy -c {boot} --concurrency 2", "a port of its own"),
        ("/h/bin/envoy -c /gone/t/abc/r/boot.json --concurrency 2", "kill 7"),
        ("python3 -m http.server", "stop that process"),
    ],
)
def test_nobody_is_told_to_stop_what_serves_another_target(
    router: Router, monkeypatch: pytest.MonkeyPatch, command: str, advice: str
) -> None:
    boot = router.place.root / "r" / "boot.json"
    boot.parent.mkdir(exist_ok=True)
    boot.touch()
    found = PortOwner(7, command.format(boot=boot))
    monkeypatch.setattr("soc_deploy_mcp.tools.local.proc.owner", lambda port, besides: found)
    with pytest.raises(DeployError, match="8080") as refused:
        check_entry_free("127.0.0.1", 8080)
    assert advice in refused.value.try_
