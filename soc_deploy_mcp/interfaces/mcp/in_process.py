"""`soc-deploy serve --in-process`: the server on this process's own stdin and stdout, without a daemon."""

import asyncio
import os
import signal
import sys

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.core.request import Caller
from soc_deploy_mcp.interfaces.daemon.hello import hello_of
from soc_deploy_mcp.interfaces.daemon.logs import write_logs
from soc_deploy_mcp.interfaces.daemon.owner import own
from soc_deploy_mcp.interfaces.daemon.paths import Paths
from soc_deploy_mcp.interfaces.daemon.server import Build
from soc_deploy_mcp.interfaces.daemon.trouble import one_line
from soc_deploy_mcp.interfaces.doors import App
from soc_deploy_mcp.interfaces.mcp.caller import Peer
from soc_deploy_mcp.interfaces.mcp.keys import request_state_key
from soc_deploy_mcp.interfaces.mcp.server import build as build_server

_FIRST = "soc-deploy: no daemon: runs pause when this client closes; `soc-deploy daemon start` resumes them\n"


def run(paths: Paths, build: Build, *, redactor: Redactor | None = None) -> int:
    """Own the home, build the app, serve the one client that started this process. Returns the exit code, which must
    be handed to `os._exit`: a thread of the SDK may still read stdin. 1 while a daemon serves this home."""
    os.umask(0o077)
    redactor = redactor or Redactor()
    sys.stderr.write(_FIRST)
    write_logs(redactor)
    try:
        owner = own(paths)
    except DeployError as error:
        sys.stderr.write(one_line(error) + "\n")
        return int(error.exit)

    async def life() -> None:
        async with build() as app:
            await serve(app, paths.home, redactor)

    asyncio.run(life())
    owner.release()
    return 0


async def serve(app: App, home: str, redactor: Redactor) -> None:
    """Until the client closes its side, or SIGTERM or SIGINT."""
    caller = Caller(kind="in-process", subject=f"uid:{os.getuid()}", project=hello_of("mcp", os.environ).project)
    server = build_server(app, redactor, keys=[request_state_key(home)], peer=Peer(caller))
    task = asyncio.ensure_future(server.run_stdio_async())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
