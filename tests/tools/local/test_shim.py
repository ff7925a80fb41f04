"""The supervisor as a process: what it starts, restarts, adopts and ends, and what it leaves alone."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.tools.local import instances, launch, shim
from soc_deploy_mcp.tools.local.instances import Status
from tests.support.processes import running_below, wait_for

pytestmark = pytest.mark.e2e

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; print('up', flush=True); time.sleep(600)"]


class Supervised:
    """One directory with a supervisor."""

    def __init__(self, home: Path) -> None:
        self.home, self.directory = home, home / "d"
        self.directory.mkdir()

    def order(self, argv: list[str], **changes: Any) -> None:
        usual = {"argv": argv, "cwd": str(self.home), "grace_s": 5, "restart": "on-failure", "max_restarts": 3}
        (self.directory / "spec.json").write_text(json.dumps({**usual, "nofile": 256, "log_mb": 1, **changes}))

    async def start(self, environment: dict[str, str] | None = None) -> None:
        await launch.supervised(self.home, self.directory, environment or {})

    async def run(self, argv: list[str], environment: dict[str, str] | None = None, **changes: Any) -> Status:
        self.order(argv, **changes)
        await self.start(environment)
        return await self.until(lambda s: s.state != "starting")

    async def until(self, holds: Callable[[Status], bool]) -> Status:
        for _ in range(1500):
            status = instances.read_status(self.directory)
            if status is not None and holds(status):
                return status
            await asyncio.sleep(0.02)
        raise AssertionError(instances.read_status(self.directory))

    async def stop(self) -> Status:
        status = await self.until(lambda s: True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(status.shim or 0, signal.SIGTERM)
        return await self.until(lambda s: not instances.shim_lives(s))

    @property
    def log(self) -> str:
        return (self.directory / "out.log").read_text()


@pytest.fixture
async def supervised(tmp_path: Path) -> AsyncIterator[Supervised]:
    made = Supervised(tmp_path)
    yield made
    for pid in running_below(tmp_path):
        os.kill(pid, signal.SIGKILL)


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


async def test_the_application_is_nobodys_child_and_a_session_of_its_own(supervised: Supervised) -> None:
    status = await supervised.run(SLEEP)
    assert status.pid
    assert os.getsid(status.pid) == status.pid
    assert f"PPid:\t{status.shim}" in Path(f"/proc/{status.pid}/status").read_text()
    assert f"PPid:\t{os.getpid()}" not in Path(f"/proc/{status.shim}/status").read_text()


async def test_the_environment_is_what_was_given_and_nothing_else(supervised: Supervised) -> None:
    code = "import os; print(sorted(os.environ.items()), flush=True); import time; time.sleep(600)"
    os.environ["LEAKED"] = "from the caller"
    await supervised.run(python(code), {"PASSWORD": "s3cret"})
    wait_for(lambda: "PASSWORD" in supervised.log)
    assert "LEAKED" not in supervised.log
    files = [path.read_text() for path in supervised.directory.iterdir() if path.name != "out.log"]
    assert not any("s3cret" in text for text in files)


async def test_a_stop_that_was_asked_for_is_no_crash(supervised: Supervised) -> None:
    await supervised.run(SLEEP)
    status = await supervised.stop()
    assert (status.state, status.stopped, status.restarts) == ("exited", True, 0)
    assert not running_below(supervised.home)


async def test_sigkill_follows_when_sigterm_is_ignored(supervised: Supervised) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    await supervised.run(python(code), grace_s=0.3)
    wait_for(lambda: "deaf" in supervised.log)
    status = await supervised.stop()
    assert (status.code, status.stopped) == (-signal.SIGKILL, True)


async def test_a_failure_is_counted_and_started_again(supervised: Supervised) -> None:
    before = await supervised.run(SLEEP)
    os.kill(before.pid or 0, signal.SIGKILL)
    after = await supervised.until(lambda s: s.restarts == 1 and s.state == "running")
    assert after.pid != before.pid
    assert after.code == -signal.SIGKILL  # of the last end


async def test_after_so_many_failures_it_stays_down(supervised: Supervised) -> None:
    await supervised.run(python("import sys; sys.exit(3)"), max_restarts=1)
    status = await supervised.until(lambda s: s.state == "failed")
    assert (status.code, status.restarts) == (3, 2)
    wait_for(lambda: not running_below(supervised.home))


async def test_what_must_not_be_restarted_is_not(supervised: Supervised) -> None:
    status = await supervised.run(python("import sys; sys.exit(3)"), restart="never")
    status = await supervised.until(lambda s: s.state == "failed")
    assert status.restarts == 1


async def test_it_is_restarted_only_while_a_path_exists(supervised: Supervised) -> None:
    path = supervised.home / "open"
    path.touch()
    first = await supervised.run(SLEEP, while_exists=str(path))
    os.kill(first.pid or 0, signal.SIGKILL)
    second = await supervised.until(lambda s: s.restarts == 1 and s.state == "running")
    path.unlink()
    os.kill(second.pid or 0, signal.SIGKILL)
    status = await supervised.until(lambda s: s.state == "failed")
    assert status.restarts == 2


async def test_a_program_that_cannot_be_run_is_named(supervised: Supervised) -> None:
    await supervised.run(["/no/such/program"], max_restarts=0)
    status = await supervised.until(lambda s: s.state == "failed")
    assert status.reason == "/no/such/program: No such file or directory"


async def test_a_second_supervisor_for_a_directory_ends_by_itself(supervised: Supervised) -> None:
    first = await supervised.run(SLEEP)
    await supervised.start()
    wait_for(lambda: len(running_below(supervised.home)) == 2)
    assert (await supervised.until(lambda s: True)).shim == first.shim


async def test_without_an_environment_nothing_is_started(supervised: Supervised) -> None:
    """Whoever ordered the start died before it gave one."""
    supervised.order(SLEEP)
    script = str(launch.script(supervised.home, "shim"))
    command = [launch.interpreter(), "-I", "-S", script, str(supervised.directory)]
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
    await process.wait()
    status = instances.read_status(supervised.directory)
    assert status is not None
    assert (status.state, status.reason, status.pid) == ("failed", "no_env", None)


async def test_an_order_of_an_older_owner_is_not_carried_out(supervised: Supervised) -> None:
    record = supervised.home / "guard.json"
    record.write_text('{"epoch": 8}')
    status = await supervised.run(SLEEP, fence={"path": str(record), "epoch": 7})
    assert (status.state, status.reason) == ("failed", "stale_epoch")


async def test_an_application_outlives_its_supervisor_and_the_next_one_adopts_it(supervised: Supervised) -> None:
    before = await supervised.run(SLEEP)
    os.kill(before.shim or 0, signal.SIGKILL)
    wait_for(lambda: not instances.shim_lives(before))
    assert instances.lives(before)
    await supervised.start()
    adopted = await supervised.until(lambda s: s.shim != before.shim)
    assert (adopted.pid, adopted.start, adopted.restarts) == (before.pid, before.start, 0)
    os.kill(before.pid or 0, signal.SIGKILL)  # no child of the new one, which notices all the same
    after = await supervised.until(lambda s: s.restarts == 1 and s.state == "running")
    assert after.pid != before.pid
    status = await supervised.stop()
    assert status.stopped


async def test_the_log_is_cut_and_one_old_part_kept(supervised: Supervised) -> None:
    code = "import time\nfor i in range(20): print('x' * 100000, flush=True)\nprint('end', flush=True)\ntime.sleep(600)"
    await supervised.run(python(code))
    wait_for((supervised.directory / "out.log.1").exists)
    wait_for(lambda: (supervised.directory / "out.log").stat().st_size <= 1024 * 1024)
    assert instances.lives(await supervised.until(lambda s: True))


async def test_limits_are_set_for_the_application(supervised: Supervised) -> None:
    code = "import resource, time; print(resource.getrlimit(7)[0], resource.getrlimit(4)[0], flush=True); time.sleep(9)"
    await supervised.run(python(code), nofile=300)
    wait_for(lambda: "\n" in supervised.log)
    assert supervised.log.split() == ["300", "0"]  # files; no core dump: memory holds secrets


def test_the_first_restart_is_at_once_and_the_next_ones_wait_longer() -> None:
    assert [shim.backoff(n) for n in range(1, 8)] == [0, 0.5, 1, 2, 4, 8, 10]


@pytest.mark.parametrize(
    ("restart", "code", "failures", "expected"),
    [
        ("on-failure", 1, 1, 0.0),
        ("on-failure", 0, 1, None),
        ("on-failure", None, 1, 0.0),  # adopted: its code is not known
        ("always", 0, 1, 0.0),
        ("never", 1, 1, None),
        ("on-failure", 1, 6, None),
    ],
)
def test_when_it_is_started_again(restart: str, code: int | None, failures: int, expected: float | None) -> None:
    assert shim.next_start({"restart": restart, "max_restarts": 5}, code, failures) == expected
