"""`soc-deploy demo`: a small real service, steady traffic on it, good and bad releases by the public command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from soc_deploy_mcp.interfaces.cli.arguments import Arguments
from soc_deploy_mcp.interfaces.cli.demo.acts import ACTS, Act
from soc_deploy_mcp.interfaces.cli.options import Options
from soc_deploy_mcp.interfaces.cli.output import say, show_json

PORTS: list[int] = [8080, *range(18080, 18200)]


class Played(NamedTuple):
    act: Act
    exit: int
    seconds: float
    report: str

    @property
    def as_expected(self) -> bool:
        return self.exit == self.act.exit


class Stage(NamedTuple):
    """Where the demonstration takes place; nothing of the user's is touched."""

    folder: Path
    repository: Path
    home: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SOC_DEPLOY_HOME": str(self.home)}

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "soc_deploy_mcp", *words]


def run(words: Sequence[str], options: Options) -> int:
    arguments = Arguments("demo", "demo [--folder DIR] [--keep] [--rate N]")
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--keep", action="store_true")
    arguments.add_argument("--rate", type=int, default=300)
    asked = arguments.read(words)
    stage = _set_up(asked.folder)
    say(f"A shop as a git repository in {stage.repository}, its entry at http://127.0.0.1:{stage.port}")
    traffic: subprocess.Popen[str] | None = None
    try:
        played: list[Played] = []
        for act in ACTS:
            played.append(_play(stage, act, options))
            if traffic is None:
                traffic = _traffic(stage, asked.rate)
                say(f"\nTraffic: {asked.rate} requests/s from here to the end")
        summary = _end_of(traffic)
        traffic = None
        return _told(stage, played, summary, options)
    finally:
        if traffic is not None:
            traffic.kill()
        if asked.keep:
            say(
                f"Left running. To stop it: SOC_DEPLOY_HOME={stage.home} soc-deploy daemon stop, then end its processes"
            )
        else:
            _take_down(stage)


def _set_up(folder: Path | None) -> Stage:
    from soc_deploy_mcp.interfaces.cli.demo import repository

    root = folder.resolve() if folder else Path(tempfile.mkdtemp(prefix="soc-demo-", dir="/tmp"))
    root.mkdir(parents=True, exist_ok=True)
    home = root / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    port = _free_port()
    made = repository.make_repository(root / "shop", settings=repository.demo_settings(f"127.0.0.1:{port}"))
    return Stage(root, made, home, port)


def _free_port() -> int:
    """Outside the instances' range and the usual ephemeral one."""
    for port in PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    from soc_deploy_mcp.core.errors import DeployError

    raise DeployError("E_LISTEN_IN_USE", "no free port for the shop between 18080 and 18199", "", "ss -ltnp")


def _play(stage: Stage, act: Act, options: Options) -> Played:
    say(f"\n━━ {act.title}\n   soc-deploy {' '.join(act.words)}")
    started = time.monotonic()
    plain = ["--plain"] if options.plain or options.json else []
    done = subprocess.run(
        stage.argv(*act.words, *plain), check=False, cwd=stage.repository, env=stage.environment, stdout=-1, text=True
    )
    played = Played(act, done.returncode, time.monotonic() - started, done.stdout)
    sign = "✓" if played.as_expected else "✗"
    say(f"{sign}  exit {done.returncode} (expected {act.exit}), {played.seconds:.0f} s")
    return played


def _traffic(stage: Stage, rate: int) -> subprocess.Popen[str]:
    from soc_deploy_mcp.interfaces.cli.demo import load

    argv = [sys.executable, load.__file__, f"http://127.0.0.1:{stage.port}/", "--rate", str(rate)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)


def _end_of(traffic: subprocess.Popen[str] | None) -> dict[str, Any]:
    assert traffic is not None
    traffic.send_signal(signal.SIGTERM)
    output, _ = traffic.communicate(timeout=60)
    return dict(json.loads(output))


def _told(stage: Stage, played: Sequence[Played], summary: dict[str, Any], options: Options) -> int:
    """Every report, the traffic, and where everything lies. 1 when anything was not as it should be."""
    innocent = _innocent_failures(summary)
    right = all(each.as_expected for each in played) and not innocent
    if options.json:
        acts = [{"title": p.act.title, "exit": p.exit, "expected": p.act.exit, "seconds": p.seconds} for p in played]
        show_json({"acts": acts, "traffic": summary, "failed_by_nobody_bad": innocent, "as_expected": right})
        return 0 if right else 1
    for each in played:
        _print_report(each.report)
    say("\n━━ What users met")
    print(f"{summary['sent']:,} requests sent, {summary['failed']:,} answered with an error, {summary['lost']} lost")
    for version, tally in summary["by_version"].items():
        print(f"  {version:<8} {tally['ok'] + tally['failed']:>8,} answered, {tally['failed']:>5,} errors")
    if innocent:
        print(f"  NOT AS IT SHOULD BE: {innocent} requests failed that no bad version answered")
    say("\n━━ What came of it")
    for each in played:
        print(f"{'✓' if each.as_expected else '✗'} {each.act.title}: {_status(each)}, {each.seconds:.0f} s")
    _where(stage)
    return 0 if right else 1


def _innocent_failures(summary: dict[str, Any]) -> int:
    """Failures that were not a bad version's own answer: there must be none."""
    bad = {act.bad for act in ACTS if act.bad}
    excused: int = sum(tally["failed"] - tally["lost"] for v, tally in summary["by_version"].items() if v in bad)
    return int(summary["failed"]) - excused


def _status(played: Played) -> str:
    lines = (line for line in played.report.splitlines() if line.startswith("**Status**"))
    return next(lines, "no report").removeprefix("**Status**: ").strip()


def _print_report(text: str) -> None:
    print()
    if sys.stdout.isatty():
        from soc_deploy_mcp.interfaces.cli import paint

        paint.report(text)
    else:
        print(text, end="")


def _where(stage: Stage) -> None:
    say("\n━━ Where it lies")
    print(f"reports    {stage.repository}/.soc-deploy/reports/, incidents beside them")
    print(f"log        {stage.repository}/.soc-deploy/DEPLOYMENTS.md")
    print(f"journal    {stage.home}/journal.db")
    say("\nIn your own repository: soc-deploy init, then")
    print("soc-deploy production --action deploy --version v1.0.0 --strategy blue-green --auto-rollback")


def _take_down(stage: Stage) -> None:
    """Stop the daemon and everything it started. The files stay where they are."""
    subprocess.run(stage.argv("daemon", "stop", "--force"), check=False, env=stage.environment, capture_output=True)
    asyncio.run(_stop_platform(stage))


async def _stop_platform(stage: Stage) -> None:
    from soc_deploy_mcp.core.ids import Epoch
    from soc_deploy_mcp.core.release import Target
    from soc_deploy_mcp.tools.local import LocalPlatform
    from soc_deploy_mcp.tools.metrics import LocalSource

    platform = LocalPlatform(stage.home, resolve=str, metrics=lambda target: LocalSource(tuple))
    target = Target(project=str(stage.repository), service="shop", environment="prod")
    seen = await platform.observe(target)
    await platform.take_down(target, Epoch(seen.epoch + 1))
