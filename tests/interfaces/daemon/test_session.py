"""The private names of the SDK that one file of ours stands on. When this fails, read the SDK's changes before the
pin in pyproject.toml is moved: `interfaces/daemon/session.py` must be looked at."""

import ast
import inspect
import tomllib
from importlib import metadata
from pathlib import Path

import mcp.server.runner
from mcp.server import MCPServer
from mcp.shared import _context_streams
from mcp.shared.message import SessionMessage

PACKAGE = Path(__file__).parents[3] / "soc_deploy_mcp"
HOME = "interfaces/daemon/session.py"


def test_the_sdk_is_the_one_that_was_read() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    assert "mcp==2.3.0" in project["project"]["dependencies"]
    assert metadata.version("mcp") == "2.3.0"


def test_a_stream_pair_is_served_in_both_eras_with_these_arguments() -> None:
    found = inspect.signature(mcp.server.runner.serve_dual_era_loop).parameters
    assert list(found) == [
        *("server", "read_stream", "write_stream"),
        *("lifespan_state", "session_id", "init_options", "raise_exceptions"),
    ]
    assert found["lifespan_state"].kind is inspect.Parameter.KEYWORD_ONLY


def test_a_server_holds_its_lower_half_and_that_makes_its_options() -> None:
    lower = MCPServer("x")._lowlevel_server
    assert lower.create_initialization_options().server_name == "x"


async def test_streams_carry_messages_with_the_context_of_their_sender() -> None:
    send, receive = _context_streams.create_context_streams[int](1)
    await send.send(7)
    assert await receive.receive() == 7
    assert receive.last_context is not None


def test_a_message_is_wrapped_alone() -> None:
    assert list(inspect.signature(SessionMessage).parameters) == ["message", "metadata"]


def test_no_other_file_uses_private_names_of_the_sdk() -> None:
    guilty = set()
    for path in (PACKAGE / "interfaces").rglob("*.py"):
        text = path.read_text()
        modules = [
            *(node.module or "" for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)),
            *(name.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for name in node.names),
        ]
        private = [name for name in modules if name.startswith("mcp.") and "._" in name]
        if private or "_lowlevel_server" in text or "serve_dual_era_loop" in text:
            guilty.add(str(path.relative_to(PACKAGE)))
    assert guilty == {HOME}
