"""The composition root: reads what is there, builds the parts, hands them out. The only file that knows everyone."""

import asyncio
import os
import secrets as dice
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.config.settings import Notify
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import RunId, TargetId
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.engine.approvals import Approvals
from soc_deploy_mcp.engine.clock import SystemClock
from soc_deploy_mcp.engine.history import History
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.outbox import Outbox
from soc_deploy_mcp.engine.runner import Runner
from soc_deploy_mcp.engine.sqlite import Sqlite
from soc_deploy_mcp.interfaces.application import messages, records
from soc_deploy_mcp.interfaces.application.application import Application
from soc_deploy_mcp.interfaces.application.parts import Parts
from soc_deploy_mcp.interfaces.application.programs import Programs
from soc_deploy_mcp.personas.project_tests import tested
from soc_deploy_mcp.tools.local import LocalPlatform, scrape
from soc_deploy_mcp.tools.metrics import LocalSource, Reader
from soc_deploy_mcp.tools.project import root as project_root
from soc_deploy_mcp.tools.secrets import Secrets

ROLLOUT_S, IDLE_S = 0.5, 5.0  # between two scrapes
NODE = "local"  # on one machine the daemon's lock makes it the only node; a restart is the same one


@dataclass
class Sources:
    """One metric source a target, for as long as the process lives."""

    platform: LocalPlatform | None = None
    _known: dict[TargetId, LocalSource] = field(default_factory=dict)
    _watchers: dict[TargetId, int] = field(default_factory=dict)

    def of(self, target: Target) -> LocalSource:
        if target.id not in self._known:
            self._known[target.id] = LocalSource(lambda: self._readers(target), IDLE_S)
        return self._known[target.id]

    def _readers(self, target: Target) -> Sequence[Reader]:
        assert self.platform is not None
        return scrape.readers(self.platform, target)

    @asynccontextmanager
    async def watched(self, target: Target) -> AsyncIterator[None]:
        """Scrape often while inside; afterwards rarely, so that the next rollout finds a baseline."""
        source = self.of(target)
        await source.start()
        self._watchers[target.id] = self._watchers.get(target.id, 0) + 1
        source.interval = ROLLOUT_S
        try:
            yield
        finally:
            self._watchers[target.id] -= 1
            if not self._watchers[target.id]:
                source.interval = IDLE_S

    async def stop(self) -> None:
        for source in self._known.values():
            await source.stop()


@asynccontextmanager
async def build(home: Path, environ: Mapping[str, str], redactor: Redactor | None = None) -> AsyncIterator[Application]:
    """The application on a state home, carrying every run that nobody carries; let go of at the end."""
    redactor = redactor or Redactor()
    store = Sqlite(home / "journal.db")
    await store.open()
    secrets, clock = Secrets(environ, redactor), SystemClock()
    runs = History(store)

    async def project_of(run: RunId) -> str:
        return (await runs.get(run)).project

    outbox = Outbox(messages.follow(_notify), messages.sender(_notify, project_of, secrets, clock.wall))
    journal = Journal(store, redact=lambda body: _redacted(redactor, body), follow=[outbox.keep])
    runner = Runner(journal, node=NODE, clock=clock)
    sources = Sources()
    platform = LocalPlatform(home, resolve=lambda ref: secrets.resolve(ref).get_secret_value(), metrics=sources.of)
    sources.platform = platform
    parts = Parts(
        home=home,
        journal=journal,
        runner=runner,
        runs=runs,
        approvals=Approvals(journal, new_id=lambda: dice.token_hex(16)),
        platform=platform,
        secrets=secrets,
        redactor=redactor,
        clock=clock,
        environ=environ,
        new_id=lambda: dice.token_hex(16),
        config=_config,
        watched=sources.watched,
        run_tests=partial(tested, environ=environ, redactor=redactor, now=clock.wall),
    )
    programs = Programs(parts)
    runner.register("walk/1", programs.walk, replays=False)
    runner.register("deploy/1", programs.carry)
    runner.register("rollback/1", programs.carry)
    await runner.start()
    sending = asyncio.create_task(outbox.run(journal), name="outbox")
    await records.catch_up(parts)
    try:
        yield Application(parts, programs)
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        await runner.stop()
        await sources.stop()
        await store.close()


def _config(project: str) -> tuple[Config, str]:
    text = project_root.read_text(Path(project))
    return Config.read(text), digest(text)


def _notify(project: str) -> Notify:
    """Who hears what, as the project says now; nobody while its file cannot be read."""
    try:
        return _config(project)[0].notify
    except DeployError:
        return Notify()


def _redacted(redactor: Redactor, body: dict[str, Any]) -> dict[str, Any]:
    """What is written to the journal. A release is started from what is written, so its settings keep their keys; they
    were refused before if a value in them looked like a secret."""
    if "plan" in body or "release" in body:
        kept: dict[str, Any] = _texts(redactor, body)
        return kept
    clean: dict[str, Any] = redactor.walk(body)
    return clean


def _texts(redactor: Redactor, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _texts(redactor, each) for key, each in value.items()}
    if isinstance(value, list):
        return [_texts(redactor, each) for each in value]
    return redactor.text(value) if isinstance(value, str) else value


def main(argv: Sequence[str]) -> int:
    """`python -P -m soc_deploy_mcp.app daemon|serve`: the process in which runs live; `serve` lives in a chat's own."""
    from soc_deploy_mcp.interfaces.daemon.paths import Paths, home_of

    if list(argv) not in (["daemon"], ["serve"]):
        sys.stderr.write("usage: python -m soc_deploy_mcp.app daemon|serve\n")
        return 64
    paths, redactor = Paths.of(home_of(os.environ)), Redactor()

    def app() -> AbstractAsyncContextManager[Application]:
        return build(Path(paths.home), os.environ, redactor)

    if argv[0] == "daemon":
        from soc_deploy_mcp.interfaces.daemon import server

        return server.run(paths, app, redactor=redactor)
    from soc_deploy_mcp.interfaces.mcp import in_process

    os._exit(in_process.run(paths, app, redactor=redactor))  # a thread of the SDK may still read stdin


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
