"""The command line's way to the application: the user's daemon, or, with SOC_DEPLOY_IN_PROCESS=1, this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Protocol


class Link(Protocol):
    def call(self, method: str, **params: Any) -> Any:
        """The result of a method of `doors.App` as plain JSON. DeployError as the application says it."""
        ...

    def follow(self, run: str, after: int = 0, *, tick: float | None = None) -> Iterator[dict[str, Any] | None]:
        """Progress of a run until it stops; None each `tick` seconds without news."""
        ...

    def close(self) -> None: ...


def open_link() -> Link:
    if os.environ.get("SOC_DEPLOY_IN_PROCESS") == "1":
        from soc_deploy_mcp.interfaces.cli.in_process import InProcess

        return InProcess.open()
    from soc_deploy_mcp.interfaces.daemon.client import Client

    return Client.open()
