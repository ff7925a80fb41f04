"""The product as its users have it: a repository, a state home, an entry, and the command line as a real process."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.config.project import merge
from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.tools.local import LocalPlatform
from soc_deploy_mcp.tools.metrics import LocalSource
from tests.support.home import free_port
from tests.support.load import Load, load
from tests.support.processes import running_below, wait_for
from tests.support.shop import write_settings

# Short windows and many probes: seconds instead of minutes, the same path through the code.
QUICK: Mapping[str, Any] = {
    "services": {"shop": {"drain_s": 3, "keepalive_s": 2}},
    "deploy": {
        "canary": {"steps": [50, 100], "min": "1s", "max": "60s"},
        "verify_window": "2s",
        "bake": "2s",
        "rollback_window": "2s",
    },
    "judge": {"tick": "0.5s", "warmup": "0.5s", "synthetic_rate": 100},
}
# For tests whose subject is not the judge: it needs fewer requests to accept, and a busy machine does not worry it.
LENIENT: Mapping[str, Any] = {
    "health_checks": {"error_rate": {"target": "<2%"}, "response_time": {"target": "<2s", "percentile": 75}},
    "judge": {"min_samples": 50, "r_bad": 5},
}
# Where users' requests are there and shall decide: nothing of our own is asked beside them.
USERS_DECIDE: Mapping[str, Any] = {"judge": {"synthetic": "off", "allow_blind": True}}
WITHIN_S = 180.0
_TERMINAL = frozenset(state.value for state in State if state.terminal)


@dataclass(frozen=True, repr=False)
class Done:
    """A command that has ended."""

    words: tuple[str, ...]
    exit: int
    out: str
    err: str

    @property
    def run(self) -> str:
        """The id of the run it reported about."""
        found = re.search(r"run_[0-9a-f]{32}", self.out + self.err)
        assert found, f"no run is named:\n{self}"
        return found[0]

    def field(self, name: str) -> str:
        """A line of the report's Summary or Rollback Information: `field("Status")`."""
        found = re.search(rf"^\*\*{re.escape(name)}\*\*: (.*?)\s*$", self.out, re.MULTILINE)
        assert found, f"no {name} in the report:\n{self}"
        return found[1]

    @property
    def status(self) -> str:
        return self.field("Status")

    def box(self, words: str) -> str:
        """A line of a checklist, with its box: `[x] All tests passing (…)`."""
        found = re.search(rf"^- (\[[ x]\] {re.escape(words)}.*)$", self.out, re.MULTILINE)
        assert found, f"no box {words!r} in the report:\n{self}"
        return found[1]

    @property
    def steps(self) -> dict[str, str]:
        """Status by action, from the table of steps."""
        table = self.out.partition("## Deployment Steps")[2].partition("## Health Checks")[0]
        return dict(re.findall(r"^\| \d+ \| (.*?) \| (.*?) \|", table, re.MULTILINE))

    def json(self) -> Any:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"soc-deploy {' '.join(self.words)}  (exit {self.exit})\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@dataclass
class Product:
    repository: Path
    home: Path
    port: int = field(default_factory=free_port)
    more: dict[str, str] = field(default_factory=dict)  # environment variables besides the usual ones
    inside: tuple[str, ...] = ()  # words before each command
    python: str = sys.executable

    @property
    def entry(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def target(self) -> Target:
        return Target(project=str(self.repository.resolve()), service="shop", environment="prod")

    def settings(self, *changes: Mapping[str, Any]) -> None:
        """Commit soc-deploy.yaml: the demo's, QUICK, then `changes` in order."""
        merged: dict[str, Any] = {}
        for each in (QUICK, *changes):
            merged = merge(merged, dict(each))
        write_settings(self.repository, self.port, merged)

    # --- the command line

    @property
    def environ(self) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG")
        plain = {name: os.environ[name] for name in kept if name in os.environ}
        return {**plain, "SOC_DEPLOY_HOME": str(self.home), **self.more}

    def argv(self, *words: str) -> list[str]:
        return [*self.inside, self.python, "-P", "-m", "soc_deploy_mcp", *words]

    def do(self, *words: str, within_s: float = WITHIN_S, cwd: Path | None = None) -> Done:
        """Run a command to its end. No terminal, nobody at stdin."""
        done = subprocess.run(
            self.argv(*words),
            cwd=cwd or self.repository,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
        )
        return Done(words, done.returncode, done.stdout, done.stderr)

    def follow(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.argv(*words), cwd=self.repository, env=self.environ, stdin=subprocess.DEVNULL, stdout=pipe,
            stderr=pipe, text=True,
        )  # fmt: skip

    def deploy(self, version: str, *flags: str) -> Done:
        """To prod, to the end; the project's tests are left out, which the tests of tests are about."""
        return self.do(*deploying(version, *flags))

    def begin(self, version: str, *flags: str) -> str:
        """The same, left to itself: the id of the run."""
        begun = self.do(*deploying(version, *flags), "--detach")
        assert begun.exit == 10, begun
        return begun.out.strip()

    def first(self, version: str = "v1.0.0") -> Done:
        """The first release, which must succeed."""
        done = self.deploy(version)
        assert done.exit == 0, done
        return done

    # --- looking

    def view(self, run: str) -> dict[str, Any]:
        return dict(self.do("status", run, "--format", "json").json()["run"])

    def wait(self, run: str, *states: str, reason: str = "", within_s: float = WITHIN_S) -> dict[str, Any]:
        """Until the run is in one of `states` (none given: until it is over); fails when it is over otherwise."""
        end = time.monotonic() + within_s
        while True:
            view = self.view(run)
            if view["state"] in (states or _TERMINAL) and reason in ("", view["reason"]):
                return view
            assert view["state"] not in _TERMINAL, f"{view}\n{self.do('report', run).out}"
            assert time.monotonic() < end, f"not {states} {reason} after {within_s} s: {view}"
            time.sleep(0.1)

    def weights(self, run: str) -> dict[str, int | None]:
        """Percent of the requests by version, of all that runs on the target, as the router says it now."""
        shown = self.do("status", run, "--format", "json").json()
        return {each["version"]: each["weight"] for each in shown["platform"]["releases"]}

    def wait_weight(self, run: str, weight: int, within_s: float = WITHIN_S) -> None:
        """Until the release of the run has so much traffic and the judge looks at it."""
        wait_for(lambda: self._judged(run, weight), within_s)

    def _judged(self, run: str, weight: int) -> bool:
        shown = self.do("status", run, "--format", "json").json()
        assert shown["run"]["state"] not in _TERMINAL, self.do("report", run).out
        return bool(shown["board"].get("weight") == weight)

    def report(self, run: str) -> Done:
        return self.do("report", run)

    def journal(self, run: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.do("journal", run).out.splitlines()]

    def shifts(self, run: str) -> list[dict[str, int]]:
        """Every change of weights that the run asked for, in order."""
        rows = (row["payload"] for row in self.journal(run) if row["kind"] == "intent")
        return [dict(row["what"]["weights"]) for row in rows if "weights" in row.get("what", {})]

    def lives(self) -> list[dict[str, Any]]:
        """The lineage of the target, newest first."""
        return list(self.do("releases", "prod", "--format", "json").json()["releases"])

    def answered_by(self) -> str:
        """The version that answers at the entry; "" where nobody listens."""
        try:
            with urllib.request.urlopen(self.entry, timeout=10) as answer:
                return str(answer.headers["x-shop-version"])
        except urllib.error.HTTPError as error:
            return str(error.headers["x-shop-version"])
        except OSError:
            return ""

    def instances(self) -> dict[int, str]:
        """The processes of the shop that run, by pid."""
        return {pid: line for pid, line in running_below(self.home).items() if " server.py" in line}

    def releases_on_disk(self) -> list[str]:
        return sorted(path.name for path in self.home.glob("t/*/rel/*") if path.is_dir())

    def slug(self, version: str) -> str:
        """What the platform calls the release of a version; it must be on disk, and alone there."""
        (found,) = [name for name in self.releases_on_disk() if name.startswith(version.replace(".", "_") + "-")]
        return found

    def take_down(self) -> None:
        """Stop the daemon and all that serves."""
        self.do("daemon", "stop", "--force")
        asyncio.run(_taken_down(self.home, self.target))


@contextmanager
def visited(shop: Product, folder: Path, *changes: Mapping[str, Any], **options: float) -> Iterator[Load]:
    """A shop that serves v1.0.0 and has users whose requests decide; `options` are those of the load generator.

    `changes` to the settings hold for what is deployed from here on.
    """
    shop.first()
    shop.settings(USERS_DECIDE, *changes)
    with load(shop.entry, folder / "load", **({"rate": 120} | options)) as running:
        running.wait_sent(20)
        yield running


def deploying(version: str, *flags: str) -> tuple[str, ...]:
    usual = ("--skip-tests", "--auto-approve", "--plain")
    return ("production", "--action", "deploy", "--version", version, *flags, *usual)


@contextmanager
def product(repository: Path, home: Path, *changes: Mapping[str, Any]) -> Iterator[Product]:
    """With a soc-deploy.yaml (unless `changes` is empty), everything stopped at the end."""
    made = Product(repository, home)
    if changes:
        made.settings(*changes)
    try:
        yield made
    finally:
        made.take_down()


async def _taken_down(home: Path, target: Target) -> None:
    platform = LocalPlatform(home, resolve=str, metrics=lambda _: LocalSource(tuple))
    if platform.place(target).boot.exists():
        await platform.take_down(target, Epoch(1_000_000))
