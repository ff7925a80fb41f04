"""A daemon process around the FakeApp: `python -P fake_daemon.py daemon`; with `serve` it serves in process.

Scripted by SOC_DEPLOY_FAKE (JSON): the fields of Script, and `idle_s`, `version`, `crash`, `hang_s`, `stop_s`.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from soc_deploy_mcp.interfaces.daemon import server
from soc_deploy_mcp.interfaces.daemon.paths import Paths, home_of
from tests.interfaces.fake_app import FakeApp, Script


def main() -> int:
    said = json.loads(os.environ.get("SOC_DEPLOY_FAKE", "{}"))
    idle_s, version = said.pop("idle_s", 900.0), said.pop("version", server.VERSION)
    crash, hang, server.STOP_S = said.pop("crash", False), said.pop("hang_s", 0), said.pop("stop_s", server.STOP_S)
    if crash:
        raise SystemExit("a defect at the start")
    paths = Paths.of(home_of(os.environ))
    server.VERSION = version  # as if another version were installed
    server.serve.__kwdefaults__["version"] = version

    @asynccontextmanager
    async def build() -> AsyncIterator[FakeApp]:
        app = FakeApp(Script(**said), Path(paths.home) / "fake.json")
        yield app
        await app.close()
        await asyncio.sleep(hang)

    if sys.argv[1] == "serve":
        from soc_deploy_mcp.interfaces.mcp import in_process

        os._exit(in_process.run(paths, build))
    with open(f"{paths.home}/born", "a") as file:
        file.write(f"{os.getpid()}\n")
    return server.run(paths, build, idle_s=idle_s)


if __name__ == "__main__":
    sys.exit(main())
