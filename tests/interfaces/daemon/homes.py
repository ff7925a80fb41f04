"""A state home of its own for a test with real processes, and what is needed to look at them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from soc_deploy_mcp.interfaces.daemon import client
from soc_deploy_mcp.interfaces.daemon.client import Client
from soc_deploy_mcp.interfaces.daemon.hello import Hello
from soc_deploy_mcp.interfaces.daemon.paths import Paths
from soc_deploy_mcp.interfaces.daemon.reach import reach

HERE = Path(__file__).parent
DAEMON = (sys.executable, "-P", str(HERE / "fake_daemon.py"), "daemon")
SHIM = (sys.executable, "-P", str(HERE / "fake_shim.py"))
PATIENCE_S = 60.0  # generous: the machine may be busy


def until(true: Callable[[], Any], what: str = "") -> Any:
    """Poll until `true()` is; the test fails after a long time."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.02)
    raise AssertionError(f"never came true: {what or true}")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Home:
    """Short path on purpose: a socket's may have 100 bytes."""

    def __init__(self, root: Path, **script: Any) -> None:
        self.root, self.script = root, script
        self.paths = Paths.of(str(root))
        self.children: list[subprocess.Popen[bytes]] = []

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, "SOC_DEPLOY_HOME": str(self.root), "SOC_DEPLOY_FAKE": json.dumps(self.script)}

    def born(self) -> list[int]:
        """Daemons that came to own the home, first to last."""
        with suppress(FileNotFoundError):
            return [int(line) for line in (self.root / "born").read_text().split()]
        return []

    def living(self) -> list[int]:
        return [pid for pid in self.born() if alive(pid)]

    def client(self) -> Client:
        return Client.open(self.environ, DAEMON)

    def admitted(self, **said: Any) -> tuple[socket.socket, Any]:
        hello = Hello("0.1.0", os.getpid(), "cli", "/", "/", 1)._replace(**said)
        return reach(self.paths, hello, self.environ, DAEMON)

    def connected(self) -> int:
        """Chats at the daemon, if one runs."""
        found = Client.running(self.environ)
        if found is None:
            return 0
        with found:
            return int(found.call("daemon.status")["connections"]) - 1

    def fakes(self) -> list[dict[str, Any]]:
        with suppress(FileNotFoundError):
            return json.loads((self.root / "fake.json").read_text())
        return []

    def log(self) -> str:
        with suppress(FileNotFoundError):
            return Path(self.paths.log).read_text()
        return ""

    def shim(self, *words: str, cwd: str = "/", environ: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [*SHIM, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=self.environ if environ is None else environ,
        )
        self.children.append(child)
        return child

    def close(self) -> None:
        for child in self.children:
            with suppress(ProcessLookupError):
                child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
        self.script = {}
        with suppress(Exception):
            client.stop(self.environ, force=True)
        for pid in self.living():
            if b"fake_daemon" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        with suppress(Exception):
            until(lambda: not self._supervised())
        shutil.rmtree(self.root, ignore_errors=True)

    def _supervised(self) -> bool:
        status = json.loads((Path(self.paths.supervisor) / "status.json").read_text())
        return alive(status["shim"])


@contextmanager
def home(**script: Any) -> Iterator[Home]:
    made = Home(Path(tempfile.mkdtemp(prefix="sd-", dir="/tmp")), **script)
    try:
        yield made
    finally:
        made.close()


class Lines:
    """MCP by hand over a shim's pipes."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.child, self._number = child, 0

    def say(self, message: dict[str, Any]) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.child.stdin.flush()

    def send(self, method: str, **params: Any) -> int:
        self._number += 1
        self.say({"id": self._number, "method": method, "params": params})
        return self._number

    def hear(self) -> dict[str, Any]:
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        assert line, self.child.stderr.read() if self.child.stderr else ""
        return json.loads(line)

    def answer(self, number: int) -> dict[str, Any]:
        while (message := self.hear()).get("id") != number or "method" in message:
            pass
        return message

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self.answer(self.send(method, **params))

    def initialize(self) -> dict[str, Any]:
        said = self.ask(
            "initialize",
            protocolVersion="2025-11-25",
            capabilities={},
            clientInfo={"name": "hand", "version": "1"},
        )
        self.say({"method": "notifications/initialized"})
        return said

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return self.ask("tools/call", name=tool, arguments=arguments)
