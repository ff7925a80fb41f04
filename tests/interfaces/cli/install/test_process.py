"""The installed command and the installed server, as processes of their own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client

from tests.support.home import state_home

SCRIPT = Path(sys.executable).with_name("soc-deploy")
NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where another user can enter too, which pytest's own folders do not allow."""
    found = Path(tempfile.mkdtemp(prefix="soc-"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left_in_it(folder: Path) -> None:
    (folder / "opencode.json").write_text("{}")
    folder.chmod(0o555)
    program = (  # root may write anywhere, so the child becomes somebody else
        "import os, sys; from soc_deploy_mcp.interfaces.cli.install import command\n"
        "from soc_deploy_mcp.interfaces.cli.options import Options\n"
        "command.install(['--client', 'opencode', '--dry-run'], Options())\n"  # all modules are loaded now
        f"os.getuid() or os.setuid({NOBODY})\n"
        "sys.exit(command.install(['--client', 'opencode'], Options()))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], cwd=folder, capture_output=True, text=True)
    folder.chmod(0o755)
    assert done.returncode == 1, done.stderr
    assert "refused" in done.stdout
    assert "permission denied" in done.stdout
    assert [path.name for path in folder.iterdir()] == ["opencode.json"]
    assert (folder / "opencode.json").read_text() == "{}"


def test_install_needs_the_standard_library_only(folder: Path) -> None:
    program = (
        "import sys; before = set(sys.modules); from soc_deploy_mcp.__main__ import main; code = main()\n"
        "files = [str(getattr(sys.modules[name], '__file__', '')) for name in set(sys.modules) - before]\n"
        "print([file for file in files if 'site-packages' in file and 'soc_deploy_mcp' not in file], code)"
    )
    words = ["install", "--client", "claude", "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[] 0\n")


@pytest.mark.e2e
@pytest.mark.parametrize("client", ["opencode", "claude"])
async def test_the_written_server_entry_starts_a_server_in_a_hostile_project(folder: Path, client: str) -> None:
    (folder / "json.py").write_text("raise SystemExit('the project was executed')\n")
    subprocess.run([SCRIPT, "install", "--client", client], cwd=folder, check=True, capture_output=True)
    if client == "opencode":
        argv = json.loads((folder / "opencode.json").read_text())["mcp"]["soc-deploy"]["command"]
    else:
        entry = json.loads((folder / ".mcp.json").read_text())["mcpServers"]["soc-deploy"]
        argv = [entry["command"], *entry["args"]]
    with state_home() as home:
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "SOC_DEPLOY_HOME": str(home)}
        server = StdioServerParameters(command=argv[0], args=argv[1:], cwd=str(folder), env=environ)
        async with Client(stdio_client(server)) as chat:
            names = {tool.name for tool in (await chat.list_tools()).tools}
        subprocess.run([SCRIPT, "daemon", "stop"], env=environ, check=True, capture_output=True)
    assert {"soc_deploy", "status", "report", "releases"} <= names
