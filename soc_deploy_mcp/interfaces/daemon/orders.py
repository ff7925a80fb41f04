"""An order outlives the connection that gave it: closing a chat must not stop a release half-way into the journal."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_carried: set[asyncio.Task[Any]] = set()  # the loop itself holds tasks weakly


async def outlive(order: Coroutine[Any, Any, T]) -> T:
    """Await `order` in a task of its own: when the caller is cancelled, the order is carried on to its end."""
    task = asyncio.get_running_loop().create_task(order)
    _carried.add(task)
    task.add_done_callback(_done)
    return await asyncio.shield(task)


async def settled(timeout: float) -> None:
    """Wait for orders on their way, `timeout` seconds at most."""
    loop = asyncio.get_running_loop()
    if mine := {task for task in _carried if task.get_loop() is loop}:
        await asyncio.wait(mine, timeout=timeout)


def _done(task: asyncio.Task[Any]) -> None:
    _carried.discard(task)
    if not task.cancelled():
        task.exception()  # looked at here: its caller may be gone
