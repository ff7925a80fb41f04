"""Who is at the other end of a unix socket, as the kernel says it."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Protocol

_XUCRED = struct.Struct("=IIh")  # macOS struct xucred begins: version, uid, number of groups (sys/ucred.h)


class Asked(Protocol):
    """What is needed of a socket; asyncio hands out a wrapper."""

    def getsockopt(self, level: int, name: int, size: int, /) -> bytes: ...


def uid_of(peer: Asked) -> int:
    """The user id of the process that connected or listens. OSError when the kernel does not tell."""
    if sys.platform == "darwin":
        return int(_XUCRED.unpack_from(peer.getsockopt(0, 1, 76))[1])  # SOL_LOCAL, LOCAL_PEERCRED
    return int(struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
