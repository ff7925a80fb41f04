"""Where everything is kept, as the engine sees it. SQL with `?`; the few statements stand where they are used.

A store knows transactions, the time, and when somebody else wrote. Faults are tried out by wrapping one.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from soc_deploy_mcp.core.ids import Instant

T = TypeVar("T")
Value = str | int | float | None


class Row(Protocol):
    def __getitem__(self, column: str, /) -> Any: ...


class Tx(Protocol):
    """An open transaction. Used inside the function that was handed to `tx` or `read`, and not after it."""

    def all(self, sql: str, *values: Value) -> list[Row]: ...

    def one(self, sql: str, *values: Value) -> Row | None: ...

    def change(self, sql: str, *values: Value) -> int:
        """How many rows it changed."""
        ...

    def on_commit(self, then: Callable[[], None]) -> None:
        """Call `then` on the event loop once all of this is durable; never after a rollback."""
        ...


class Store(Protocol):
    async def tx(self, work: Callable[[Tx], T]) -> T:
        """Run `work` alone and all or nothing; durable when this returns.

        `work` runs in another thread, so it touches nothing but the transaction. What it raises undoes everything and
        is raised here. Raises E_JOURNAL when nothing can be written. A caller that is cancelled does not undo what
        was begun.
        """
        ...

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on what is committed. Waits for no writer. Raises E_JOURNAL when it cannot be read."""
        ...

    async def watch(self, wake: Callable[[], Awaitable[None]]) -> None:
        """Call `wake` after another process wrote, until cancelled."""
        ...

    async def room(self) -> None:
        """Raises E_LOW_DISK when a new run might not find the space to be journalled to its end."""
        ...

    def now(self) -> Instant:
        """The time that goes into rows. Callable in every thread."""
        ...
