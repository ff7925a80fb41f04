"""The daemon's socket: bound under a mask, so that there is no moment at which others may connect."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

from soc_deploy_mcp.interfaces.daemon.owner import Owner
from soc_deploy_mcp.interfaces.daemon.paths import Paths

LONGEST = 4 << 20  # bytes of a line; a longer one ends its connection
_BACKLOG = 1024  # fifty chats may start at once

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


class Listener:
    """Open while it lives. Only the holder of `owner.lock` may make one: it unlinks what a dead daemon left."""

    def __init__(self, paths: Paths, server: asyncio.Server, bound: os.stat_result) -> None:
        self._paths, self._server, self._bound = paths, server, bound

    @classmethod
    async def open(cls, owner: Owner, connected: Connected) -> "Listener":
        paths = owner.paths
        sock = _bind(paths.socket)
        server = await asyncio.start_unix_server(connected, sock=sock, limit=LONGEST, backlog=_BACKLOG)
        return cls(paths, server, os.stat(paths.socket))

    def in_place(self) -> bool:
        """Clients that look for a daemon find this one."""
        try:
            return os.path.samestat(self._bound, os.stat(self._paths.socket))
        except OSError:
            return False

    def close(self) -> None:
        """Stop listening, then unlink: a client in between is hung up on and tries again."""
        self._server.close()
        if self.in_place():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._paths.socket)


def _bind(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        sock.bind(path)
    finally:
        os.umask(mask)
    sock.setblocking(False)
    return sock
