"""Answers the command line: one JSON line a request, each in a task of its own (format: client.py)."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.core.request import Caller
from soc_deploy_mcp.interfaces.daemon.methods import Method, plain
from soc_deploy_mcp.interfaces.daemon.orders import outlive
from soc_deploy_mcp.interfaces.doors import App

_log = logging.getLogger(__name__)

Farewell = Callable[[], DeployError | None]  # why the daemon leaves, where its clients must not bring it back
Own = Callable[[Mapping[str, Any]], Awaitable[Any]]  # a method of the daemon itself


class Requests:
    """One connection of role cli."""

    def __init__(
        self,
        app: App,
        caller: Caller,
        table: Mapping[str, Method],
        own: Mapping[str, Own],
        redactor: Redactor,
        farewell: Farewell = lambda: None,
    ) -> None:
        self._app, self._caller, self._table, self._own, self._redactor = app, caller, table, own, redactor
        self._farewell = farewell

    async def speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the client closes its side; what still streams then is let go. A daemon that is stopped by hand says
        so last: else whoever follows a run would start it again."""
        try:
            await self._spoken(reader, writer)
        except asyncio.CancelledError:
            if (error := self._farewell()) is not None:
                writer.write(json.dumps({"id": None, "error": error.to_json()}).encode() + b"\n")
            raise

    async def _spoken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = set()
            while (line := await reader.readline()).endswith(b"\n"):
                task = group.create_task(self._answer(line, writer))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            for task in tasks:
                task.cancel()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        number: object = None
        try:
            number, name, params = _request(line)
            said = {"result": await self._result(number, name, params, writer)}
        except DeployError as error:
            said = {"error": error.to_json()}
        except ConnectionError:
            return
        except Exception:
            _log.exception("a request failed")
            what = "The daemon met a defect of its own; details are in its log."
            said = {"error": DeployError("E_INTERNAL", what).to_json()}
        with contextlib.suppress(ConnectionError):
            await self._say(writer, {"id": number, **said})

    async def _result(self, number: object, name: str, params: Any, writer: asyncio.StreamWriter) -> Any:
        if (own := self._own.get(name)) is not None:
            return await own(params if isinstance(params, dict) else {})
        if (method := self._table.get(name)) is None:
            raise DeployError("E_PROTOCOL", f"There is no method {name}.", "", "soc-deploy daemon status")
        arguments = method.read(params)
        if method.caller:
            arguments["caller"] = self._caller
        bound = getattr(self._app, name)
        if method.stream:
            async for event in bound(**arguments):
                await self._say(writer, {"id": number, "event": plain(event)})
            return None
        found = bound(**arguments)
        if asyncio.iscoroutine(found):
            found = await (outlive(found) if method.order else found)
        return plain(found)

    async def _say(self, writer: asyncio.StreamWriter, said: dict[str, Any]) -> None:
        writer.write(json.dumps(self._redactor.walk(said), separators=(",", ":"), default=str).encode() + b"\n")
        await writer.drain()


def _request(line: bytes) -> tuple[object, str, Any]:
    try:
        said = json.loads(line)
        return said["id"], str(said["method"]), said.get("params", {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DeployError("E_PROTOCOL", "A line was no request.", "it needs id and method") from None
