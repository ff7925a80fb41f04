"""A person at a machine: a project with the example shop, a client set up by `soc-deploy install`, a model that obeys.

Everything is private to one test: home, project, state home, ports. Nothing of it may run when the test is over.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.config.project import merge
from soc_deploy_mcp.interfaces.daemon.client import Client
from tests.clients.programs import Program
from tests.clients.stub import Model, model
from tests.support.home import free_port, state_home
from tests.support.processes import kill_below, running_below, wait_for
from tests.support.product import LENIENT
from tests.support.shop import write_settings

SCRIPTS = Path(sys.executable).parent
LONGEST_S = 400  # of one client's run; the machine may be busy


@dataclass
class Chat:
    """A client that runs."""

    scene: Scene
    process: subprocess.Popen[bytes]
    number: int

    def wait(self) -> str:
        """Until it has ended by itself; what its model said last."""
        try:
            self.process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.scene.program.name} did not end\n{self.trouble()}") from None
        finally:
            self.kill()
        return self.scene.program.said(self.output)

    def kill(self) -> None:
        """With all it has started in its group, as the end of a terminal does it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def output(self) -> str:
        return (self.scene.root / f"out-{self.number}").read_text(errors="replace")

    def trouble(self) -> str:
        errors = (self.scene.root / f"err-{self.number}").read_text(errors="replace")
        return f"stdout: {self.output[-3000:]}\nstderr: {errors[-3000:]}\nmodel: {self.scene.model.seen[-3:]}"


@dataclass
class Scene:
    program: Program
    model: Model
    root: Path  # of the client's world: short, and apart from the state home
    state: Path
    project: Path
    port: int
    extra: dict[str, str]
    chats: list[Chat] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        """The whole of a client's environment: PWD too, which OpenCode believes more than its working directory."""
        return {
            "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "tmp"),
            "PWD": str(self.project),
            "SOC_DEPLOY_HOME": str(self.state),
            **self.extra,
        }

    def command(self, *words: str) -> Chat:
        """`/soc-deploy WORDS` typed in the client."""
        return self._start(self.program.command(words))

    def question(self) -> Chat:
        """A new chat, in which a person asks how it is going."""
        return self._start(self.program.question())

    def _start(self, argv: Sequence[str]) -> Chat:
        """Output goes to files: a child that outlives the client must not hold us."""
        number = len(self.chats)
        with open(self.root / f"out-{number}", "wb") as out, open(self.root / f"err-{number}", "wb") as err:
            process = subprocess.Popen(
                argv,
                cwd=self.project,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.chats.append(Chat(self, process, number))
        return self.chats[-1]

    def beside(self, program: Program, *install: str) -> Scene:
        """The same person's other client, in the same project."""
        other = replace(self, program=program, extra=program.prepare(self.root / "home", self.model.url))
        other.set_up(*install)
        return other

    def set_up(self, *install: str) -> None:
        """`install` are flags of `soc-deploy install`."""
        done = self.terminal("install", "--client", self.program.name, *install)
        assert done.returncode == 0, done.stdout + done.stderr

    def terminal(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`soc-deploy WORDS` in a terminal without a person."""
        return subprocess.run(
            [SCRIPTS / "soc-deploy", *words],
            cwd=self.project,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )

    def runs(self) -> list[dict[str, Any]]:
        """Runs as the daemon has them, the one that began last at the end; [] without a daemon."""
        daemon = Client.running(self.environ)
        if daemon is None:
            return []
        with daemon:
            return sorted(daemon.call("runs"), key=lambda run: run["created_at"])

    def the_run(self) -> dict[str, Any]:
        """Of the only run there is."""
        found = self.runs()
        assert len(found) == 1, found
        return found[0]

    def wait_run(self, *states: str, number: int = -1) -> dict[str, Any]:
        wait_for(lambda: self.runs() and self.runs()[number]["state"] in states, LONGEST_S)
        return self.runs()[number]

    def report(self, run: str) -> str:
        return self.terminal("report", run).stdout

    def close(self) -> None:
        for chat in self.chats:
            chat.kill()
        self.terminal("daemon", "stop", "--force")
        wait_for(lambda: not self.servers("serve", "daemon"))
        kill_below(self.state)  # the platform: it is made to outlive all of us

    def servers(self, *words: str) -> dict[int, str]:
        """Command lines of our own processes with one of these words, by pid: serve (a client's), daemon."""
        return {pid: line for pid, line in running_below(self.state).items() if set(words) & set(line.split())}


@contextmanager
def scene(program: Program, project: Path, *install: str) -> Iterator[Scene]:
    """`project` is a repository of this test's own; `install` are flags of `soc-deploy install`."""
    with state_home() as state, state_home() as root, model() as obeying:
        for folder in ("home", "tmp"):
            (root / folder).mkdir()
        extra = program.prepare(root / "home", obeying.url)
        made = Scene(program, obeying, root, state, project, free_port(), extra)
        write_settings(project, made.port, merge(dict(LENIENT), {"judge": {"synthetic_rate": 200}}))
        try:
            made.set_up(*install)
            yield made
            assert not obeying.faults
        finally:
            made.close()
