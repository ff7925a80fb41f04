"""Keeping the two programs of a target up: the guard and the router, each under its supervisor."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.tools.local import instances, launch
from soc_deploy_mcp.tools.local.layout import write_atomic

START_S = 15.0
STEADY_S = 5.0  # after that long an end is no failed start, so the next start is at once
POLL_S = 0.005
_TAKEN_S = 2.0  # in which a new supervisor says that it is there

Condition = Callable[[], Awaitable[bool]]


def order(directory: Path, argv: list[str], *, grace_s: float, nofile: int) -> None:
    """What the supervisor of a directory is to run: always, whatever it ends with."""
    document = {
        "argv": argv,
        "cwd": "/",
        "grace_s": grace_s,
        "restart": "always",
        "max_restarts": None,
        "steady_s": STEADY_S,
        "nofile": nofile,
        "log_mb": 10,
    }
    write_atomic(directory / "spec.json", json.dumps(document))


async def keep_up(home: Path, directory: Path, prepare: Condition, answers: Condition, name: str) -> None:
    """Until it answers. A supervisor that is not there is started; one that is there starts its program itself.

    `prepare` writes the order; it gives False when something is in the way for the moment. Raises E_ROUTER_DOWN.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + START_S
    while not await answers():
        seen = instances.read_status(directory)
        if not instances.shim_lives(seen) and await prepare():
            await launch.supervised(home, directory, launch.base_environment())
            await until(partial(_another, directory, seen), _TAKEN_S)
        elif loop.time() >= end:
            raise down(f"{name} does not start", instances.tail(directory))
        await asyncio.sleep(POLL_S)


async def _another(directory: Path, before: instances.Status | None) -> bool:
    now = instances.read_status(directory)
    return now is not None and (before is None or now.shim != before.shim)


async def stop(directory: Path) -> None:
    """Stop a supervisor and what it runs."""
    status = instances.read_status(directory)
    if status is None:
        return
    for pid, lives in ((status.shim, instances.shim_lives), (status.pid, instances.lives)):
        if pid and lives(status):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            await until(partial(_not, lives, status), START_S)


async def _not(lives: Callable[[instances.Status | None], bool], status: instances.Status) -> bool:
    return not lives(status)


async def until(true: Condition, seconds: float) -> bool:
    """Poll; was it true in time?"""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not await true():
        if loop.time() >= end:
            return False
        await asyncio.sleep(POLL_S)
    return True


def down(what: str, why: str) -> DeployError:
    return DeployError("E_ROUTER_DOWN", what, why, "soc-deploy status")
