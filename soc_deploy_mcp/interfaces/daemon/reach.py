"""From nothing to a socket on which the daemon has said yes."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from soc_deploy_mcp.interfaces.daemon.hello import LONGEST, TIMEOUT, Ack, Hello
from soc_deploy_mcp.interfaces.daemon.paths import Paths
from soc_deploy_mcp.interfaces.daemon.spawn import DAEMON, POLL_S, ensure_daemon
from soc_deploy_mcp.interfaces.daemon.trouble import trouble

RETRIES = 3


class Reached(NamedTuple):
    sock: socket.socket
    ack: Ack


def reach(paths: Paths, hello: Hello, environ: Mapping[str, str], daemon: Sequence[str] = DAEMON) -> Reached:
    """Connect, starting the daemon if needed, and be admitted. DeployError says why not.

    A daemon that leaves (idle, or for another version) hangs up or says `retry`; the next attempt starts a new one.
    """
    environ = {**environ, "SOC_DEPLOY_STARTED_BY": f"{hello.role} in {hello.cwd}"}
    for attempt in range(RETRIES + 1):
        sock = ensure_daemon(paths, environ, daemon)
        ack = introduce(sock, hello)
        if ack is not None and ack.ok:
            return Reached(sock, ack)
        sock.close()
        if ack is not None and not ack.retry:
            raise trouble(ack.code, ack.what, ack.why, ack.try_)
        time.sleep(POLL_S * attempt)
    raise trouble("E_DAEMON", "The daemon does not answer.", f"see {paths.log}", "soc-deploy daemon status")


def introduce(sock: socket.socket, hello: Hello) -> Ack | None:
    """Say hello and read the answer; None when the daemon hung up or took longer than it may."""
    sock.settimeout(TIMEOUT)
    line = b""
    try:
        sock.sendall(hello.line())
        while not line.endswith(b"\n") and len(line) <= LONGEST:
            piece = sock.recv(4096)
            if not piece:
                return None
            line += piece
        ack = Ack.read(line)
    except (OSError, ValueError):
        return None
    sock.settimeout(None)
    return ack
