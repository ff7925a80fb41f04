"""Runs as resources: what is too long for an answer."""

import json
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.interfaces.doors import App
from soc_deploy_mcp.interfaces.mcp.caller import Peer, caller

_JSON = "application/json"
_LINES = "application/x-ndjson"


class Resources:
    def __init__(self, app: App, redactor: Redactor) -> None:
        self._app, self._redactor = app, redactor

    async def report(self, run_id: str) -> str:
        try:
            return self._redactor.text(await self._app.report(run_id, caller(), "markdown"))
        except DeployError as error:
            raise self._missing(error) from None

    async def events(self, run_id: str) -> str:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in await self._rows(run_id))

    async def plan(self, run_id: str) -> str:
        plans = [row for row in await self._rows(run_id) if row.get("kind") == "plan"]
        if not plans:
            raise ResourceNotFoundError("the run has no plan yet")
        return json.dumps(plans[-1]["payload"], ensure_ascii=False, indent=2)

    async def _rows(self, run_id: str) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = self._redactor.walk(await self._app.journal(run_id, caller()))
        except DeployError as error:
            raise self._missing(error) from None
        return rows

    def _missing(self, error: DeployError) -> ResourceError:
        kind = ResourceNotFoundError if error.code == "E_RUN_UNKNOWN" else ResourceError
        return kind(self._redactor.text(f"{error.code}: {error.what}"))


def register(server: MCPServer[Peer], app: App, redactor: Redactor) -> None:
    found = Resources(app, redactor)
    for name, function, kind, description in (
        ("report", found.report, "text/markdown", "The deployment report of a run, any length."),
        ("events", found.events, _LINES, "The journal of a run, one JSON object a line."),
        ("plan", found.plan, _JSON, "The plan of a run and its hash."),
    ):
        uri = f"deployment://{{run_id}}/{name}"
        server.resource(uri, name=name, mime_type=kind, description=description)(function)
