"""One MCP session on one connection, in the protocol era that its client opens with.

The SDK has no public way to serve a stream pair of one's own in both eras. The private names are here and nowhere
else; `tests/interfaces/daemon/test_session.py` fails loudly when a release of the SDK changes them.
"""

import asyncio
import contextlib
import logging

import anyio
from mcp.server import MCPServer
from mcp.server.runner import serve_dual_era_loop
from mcp.shared._context_streams import ContextReceiveStream, ContextSendStream, create_context_streams
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from soc_deploy_mcp.interfaces.mcp.caller import Peer

_log = logging.getLogger(__name__)


async def speak(
    server: MCPServer[Peer], peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve `peer` until it closes its side. Requests that are open then are cancelled; runs are not."""
    lowlevel = server._lowlevel_server
    incoming, read = create_context_streams[SessionMessage | Exception](0)
    write, outgoing = create_context_streams[SessionMessage](0)
    async with anyio.create_task_group() as group:
        group.start_soon(_hear, reader, incoming)
        group.start_soon(_say, outgoing, writer)
        options = lowlevel.create_initialization_options()
        await serve_dual_era_loop(lowlevel, read, write, lifespan_state=peer, init_options=options)
        group.cancel_scope.cancel()


async def _hear(reader: asyncio.StreamReader, incoming: ContextSendStream[SessionMessage | Exception]) -> None:
    """Lines to messages. A line that is no message is skipped, as over stdio; one that is too long ends it all."""
    async with incoming:
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, ConnectionError, ValueError):
            while line := await reader.readline():
                if not line.strip():
                    continue
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError as error:
                    _log.info("a line of %d bytes was no message", len(line))
                    await incoming.send(error)
                else:
                    await incoming.send(SessionMessage(message))


async def _say(outgoing: ContextReceiveStream[SessionMessage], writer: asyncio.StreamWriter) -> None:
    async with outgoing:
        with contextlib.suppress(ConnectionError):
            async for said in outgoing:
                writer.write(said.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                await writer.drain()
