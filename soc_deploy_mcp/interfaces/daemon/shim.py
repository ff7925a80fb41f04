"""`soc-deploy serve`: MCP over stdio, answered by the user's daemon. Standard library only, so that a chat starts fast.

A client closing, killing or interrupting this process ends nothing but this process: runs live in the daemon.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence

from soc_deploy_mcp.interfaces.daemon.hello import hello_of
from soc_deploy_mcp.interfaces.daemon.paths import Paths, home_of
from soc_deploy_mcp.interfaces.daemon.pump import Pump
from soc_deploy_mcp.interfaces.daemon.reach import reach
from soc_deploy_mcp.interfaces.daemon.spawn import DAEMON
from soc_deploy_mcp.interfaces.daemon.trouble import one_line, trouble

IN_PROCESS = (sys.executable, "-P", "-m", "soc_deploy_mcp.app", "serve")


def main(argv: Sequence[str], *, daemon: Sequence[str] = DAEMON, in_process: Sequence[str] = IN_PROCESS) -> int:
    """`argv` are the words after `serve`. Returns the exit code; `--in-process` becomes the server itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # clients end their servers so: a traceback would look like a crash
    if list(argv) == ["--in-process"]:
        os.execv(in_process[0], list(in_process))
    try:
        if argv:
            raise trouble("E_USAGE", f"serve does not take {argv[0]}.", "", "soc-deploy serve --in-process")
        return _serve(daemon)
    except Exception as error:
        return _said(error)


def _serve(daemon: Sequence[str]) -> int:
    paths, environ = Paths.of(home_of(os.environ)), os.environ

    def again() -> socket.socket:
        return reach(paths, hello_of("mcp", environ, again=True), environ, daemon).sock

    pump = Pump(reach(paths, hello_of("mcp", environ), environ, daemon).sock, again)
    try:
        pump.run()
    except Exception:
        pump.give_up()
        raise
    return 0


def _said(error: Exception) -> int:
    from soc_deploy_mcp.core.errors import DeployError

    if not isinstance(error, DeployError):
        raise error
    sys.stderr.write(one_line(error) + "\n")
    return int(error.exit)
