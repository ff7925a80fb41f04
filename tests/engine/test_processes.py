"""Real processes: killed at every point, stopped inside an effect, out of disk, without the right to write."""

import asyncio
import os
import signal
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.engine.sqlite import Sqlite
from tests.engine.builders import until
from tests.engine.processes import Room, room
from tests.engine.toy import ACTS, PHASES, STEPS, Target

FORWARD = [f"{key}:{phase}" for key in ACTS for phase in PHASES]
WAITING = [
    "timer:mid",
    "approval:mid",
    "judge:1",
    "judge:4",
    *(f"{k}:recorded" for k in ("timer", "approval", "judge")),
]
BACK = [f"back/{key}:{phase}" for key in ("prepare", "shift50") for phase in PHASES]
BEGUN = ACTS[: ACTS.index("shift100")]  # what an abort at the approval undoes


def executed(target: Target) -> Counter[str]:
    return Counter(line.split()[1] for line in target.lines() if line.startswith("EXEC"))


async def killed_at(room: Room, point: str) -> None:
    """One run with one death: its end is the same, and only the step that was cut off is repeated, once."""
    abort = point.startswith("back/")
    run, target = await room.begin(point)
    if abort:
        await room.waits_at(run, "approval")
        await room.node.runner.signal(run, "abort", {"reason": "test"}, "uid:1")
    else:
        if point == "approval:mid":
            await until(lambda: f"KILL {point}" in target.lines() and not room.processes["local"].is_alive(), 40)
        await room.node.runner.signal(run, "approved", None, "uid:1")
    assert await room.over(run) == (State.ROLLED_BACK if abort else State.SUCCEEDED)
    assert f"KILL {point}" in target.lines()
    expected = [*BEGUN, *(f"back/{key}" for key in reversed(BEGUN))] if abort else list(ACTS)
    key, phase = point.rsplit(":", 1)
    counts = executed(target)
    if phase == "mid":  # a timer kills: on a busy machine perhaps behind the wait, then in any step
        assert sum(counts.values()) <= len(expected) + 1
    else:
        assert counts == Counter(expected) + Counter([key] if phase == "after" else [])
    assert list(counts) == expected
    assert await room.node.journal.verify(run) is None


@pytest.mark.parametrize("points", [FORWARD[:15], FORWARD[15:] + WAITING[:2], WAITING[2:] + BACK], ids=["a", "b", "c"])
async def test_killed_at_any_point_a_run_ends_the_same_and_repeats_one_step_at_most(
    tmp_path: Path, points: list[str]
) -> None:
    async with room(tmp_path) as here:
        here.start()
        for point in points:
            await killed_at(here, point)


@pytest.mark.crash
@pytest.mark.parametrize("round_", range(5))
async def test_killed_at_every_point_again_and_again(tmp_path: Path, round_: int) -> None:
    back = [f"back/{key}:{phase}" for key in BEGUN for phase in PHASES]
    async with room(tmp_path) as here:
        here.start()
        for point in (*FORWARD, *WAITING, *back):
            await killed_at(here, point)


@pytest.mark.crash
@pytest.mark.parametrize("pause_s", [0.003, 0.011, 0.037, 0.09])
async def test_killed_at_random_moments_many_runs_at_once_all_end(tmp_path: Path, pause_s: float) -> None:
    async with room(tmp_path) as here:
        here.start()
        begun = [await here.begin() for _ in range(20)]
        for run, _ in begun:
            await here.node.runner.signal(run, "approved", None, "uid:1")
        for n in range(40):
            await asyncio.sleep(pause_s * (1 + n % 7))
            if here.processes["local"].is_alive():
                os.kill(here.processes["local"].pid, signal.SIGKILL)
            here.processes["local"].join()
            here.start()
        for run, target in begun:
            assert await here.over(run, timeout=120) == State.SUCCEEDED
            assert set(executed(target)) == set(ACTS)
            recorded = [key for kind, key in await here.node.kinds(run, "observed") if kind == "observed"]
            assert recorded == list(STEPS)


async def test_a_process_stopped_inside_an_effect_is_too_late_at_the_target_and_in_the_store(tmp_path: Path) -> None:
    async with room(tmp_path, ttl=1.0, renew=0.2) as here:
        first = here.start("one")
        run, target = await here.begin("shift5:before", how="STOP")
        await here.node.runner.signal(run, "approved", None, "uid:1")
        await until(lambda: "STOP shift5:before" in target.lines(), 40)
        here.start("two")
        assert await here.over(run, "two") == State.SUCCEEDED
        assert executed(target) == Counter(ACTS)
        rows = await here.node.journal.load(run)
        os.kill(first.pid, signal.SIGCONT)
        await until(lambda: "FENCED shift5" in target.lines() and "LOST" in target.lines(), 40)
        assert executed(target) == Counter(ACTS)
        assert await here.node.journal.load(run) == rows
        assert first.is_alive()
        assert [r.epoch for r in rows if r.kind != "signal"] == sorted(r.epoch for r in rows if r.kind != "signal")


async def test_on_a_full_disk_nothing_goes_forward_and_traffic_still_goes_back(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        process = here.start()
        run, target = await here.begin(fill="shift5")
        await until(lambda: "EXEC back/prepare" in target.lines(), 40)
        forward = [key for key in executed(target) if not key.startswith("back/")]
        assert forward == ["prepare", "ensure", "smoke", "shift5"]
        assert ("observed", "shift5") not in await here.node.kinds(run, "observed")
        assert not (await here.history.get(run)).over
        (target.directory / "room").touch()
        assert await here.over(run) == State.ROLLED_BACK
        assert process.is_alive()
        assert [key for key in executed(target) if not key.startswith("back/")] == forward
        assert await here.node.journal.verify(run) is None


def test_a_read_only_file_is_refused_in_words() -> None:
    """As an account that is no administrator: for that one everything is writable."""
    with tempfile.TemporaryDirectory(prefix="soc-") as home:
        path = Path(home) / "journal.db"
        sqlite3.connect(path).close()
        path.chmod(0o400)
        if os.geteuid() == 0:
            os.chown(home, 65534, 65534)
            os.chown(path, 65534, 65534)
        child = os.fork()
        if child == 0:
            os._exit(_opens_read_only(path))
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0


def _opens_read_only(path: Path) -> int:
    """Exit code: 0 when the file was refused as it should be."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        asyncio.run(Sqlite(path).open())
    except DeployError as error:
        return 0 if error.code == "E_JOURNAL" and error.try_ else 2
    except BaseException:
        return 3
    return 4
