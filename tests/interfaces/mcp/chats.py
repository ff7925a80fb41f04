"""An MCP client of the SDK in front of our server and the FakeApp, all in memory."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client
from mcp.types import CallToolResult

from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.core.request import Caller
from soc_deploy_mcp.interfaces.mcp.caller import Peer
from soc_deploy_mcp.interfaces.mcp.server import build
from tests.interfaces.fake_app import FakeApp

LINE = "prod --action deploy --version v1.0.0"
ERAS = ("auto", "legacy")
PEER = Peer(Caller(kind="mcp", subject="uid:1", project="/shop"))


class Chat:
    def __init__(self, client: Client, app: FakeApp) -> None:
        self.client, self.app = client, app
        self.progress: list[tuple[float, float | None, str | None]] = []

    async def raw(self, tool: str, **arguments: Any) -> CallToolResult:
        async def seen(progress: float, total: float | None, message: str | None) -> None:
            self.progress.append((progress, total, message))

        return await self.client.call_tool(tool, arguments, progress_callback=seen)

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer."""
        structured: dict[str, Any] = (await self.raw(tool, **arguments)).structured_content
        return structured


@asynccontextmanager
async def chat(
    app: FakeApp, era: str = "auto", *, redactor: Redactor | None = None, peer: Peer = PEER, **options: Any
) -> AsyncIterator[Chat]:
    server = build(app, redactor, keys=[os.urandom(32)], peer=peer)
    async with Client(server, mode=era, **options) as client:
        yield Chat(client, app)
    await app.close()
