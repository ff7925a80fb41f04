"""A shop that serves under steady load, and runs of the product on it while somebody is killed."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.event import State
from tests.crash.journal import Journal, Row
from tests.crash.strikes import Fate, Strike
from tests.crash.traffic import Users, users
from tests.crash.victims import Slugs, found, kill, slug
from tests.support.processes import running_below, wait_for
from tests.support.product import Product, deploying, product

# Everything as short as it can be: what is tried out is the order of things, not the statistics.
BRIEF: Mapping[str, Any] = {
    "services": {"shop": {"drain_s": 2, "grace_s": 2, "keepalive_s": 2, "hold_s": 30}},
    "deploy": {
        "canary": {"steps": [40, 100], "min": "1s", "max": "60s"},
        "rolling": {"min_ready_s": 0.3},
        "verify_window": "1s",
        "bake": "1s",
        "rollback_window": "1s",
        "confirm_probes": 3,
    },
    "health_checks": {"error_rate": {"target": "<5%"}, "response_time": {"target": "<5s"}},
    "judge": {
        "tick": "0.5s",
        "warmup": "0s",
        "synthetic": "off",
        "allow_blind": True,
        "min_samples": 10,
        "r_bad": 20,
        "beta": 0.4,
    },
}
UNASKED = ("--auto-approve", "--plain")
RATE = 60
INSTANCES = 2
GOOD = ("v1.0.0", "v1.1.0", "v1.3.0", "v1.5.0")
BAD = "v2.0.0-errors-50"
EXITS = {State.SUCCEEDED: 0, State.ROLLED_BACK: 3, State.FAILED_NO_CHANGE: 2, State.NEEDS_OPERATOR: 4}
RUN_S = 240.0

ENDS: Mapping[Fate, State] = {"good": State.SUCCEEDED, "bad": State.ROLLED_BACK, "aborted": State.ROLLED_BACK}


@dataclass
class Ran:
    """A run that is over."""

    id: str
    new: str
    old: str
    said: str = ""
    state: State = State.DRAFT
    action: str = "deploy"
    exit: int | None = None  # of the command that followed it; None: it was killed
    struck: list[Strike] = field(default_factory=list)
    routes: list["Routed"] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    @property
    def serving(self) -> str:
        return self.new if self.state is State.SUCCEEDED else self.old

    @property
    def shares(self) -> list[int]:
        """Percent of the requests that the new release got, one after the other."""
        return [share for share, _ in groupby(_share(routed, slug(self.new)) for routed in self.routes)]


@dataclass(frozen=True)
class Routed:
    """What the guard had in force from a moment on."""

    at: float
    epoch: int
    weights: dict[str, int]


class Stage:
    """One installation: repository, state home, users. `serving` is the version that has all requests."""

    def __init__(self, shop: Product, users: Users) -> None:
        self.shop, self.users, self.journal = shop, users, Journal(shop.home)
        self.serving = GOOD[0]
        self._supervisor_is_calm = True

    @property
    def home(self) -> Path:
        return self.shop.home

    def version(self, fate: Fate) -> str:
        return BAD if fate == "bad" else GOOD[(GOOD.index(self.serving) + 1) % len(GOOD)]

    def deploy(self, strategy: str, fate: Fate, strikes: Sequence[Strike] = (), version: str = "") -> Ran:
        """Deploy to the end, and check all that must be as it would have been without the kills."""
        new = version or self.version(fate)
        words = deploying(new, "--strategy", strategy, "--auto-rollback")
        ran = self.carry(words, new, strikes, abort=fate == "aborted")
        self.assert_ended(ran, ENDS[fate])
        return ran

    def roll_back(self, to: str, strategy: str, strikes: Sequence[Strike] = ()) -> Ran:
        """By hand, to a release that has been removed from the machine's memory but not from its disk."""
        words = ("production", "--action", "rollback", "--version", to, "--strategy", strategy, *UNASKED)
        ran = self.carry(words, to, strikes, action="rollback")
        self.assert_ended(ran, State.SUCCEEDED)
        return ran

    def carry(
        self,
        words: Sequence[str],
        new: str,
        strikes: Sequence[Strike] = (),
        *,
        action: str = "deploy",
        abort: bool = False,
    ) -> Ran:
        """Type a command and follow it to the end, while somebody is killed."""
        self._calm_supervisor()
        known, slugs = self.journal.runs(), Slugs.of(new, self.serving)
        following = self.shop.follow(*words)
        try:
            ran = Ran(self._begun(known, following), new, self.serving, action=action)
            _Watch(self, ran, strikes, slugs, following.pid, abort=abort).to_the_end()
            ran.state = self.journal.state(ran.id)
            ran.rows = self.journal.rows(ran.id)
            if not any("client" in strike.victims for strike in ran.struck):
                ran.said = "".join(following.communicate(timeout=60))
                ran.exit = following.returncode
        finally:
            following.kill()
            following.communicate()
        self.serving = ran.serving
        return ran

    def _begun(self, known: set[str], following: "subprocess.Popen[str]") -> str:
        """The id of the run that is new in the journal."""
        fresh: set[str] = set()

        def begun() -> bool:
            fresh.update(self.journal.runs() - known)
            return bool(fresh) or following.poll() is not None

        wait_for(begun, 60, 0.003)
        assert len(fresh) == 1, following.communicate()
        return fresh.pop()

    def struck(self, strike: Strike, at: float) -> None:
        self._supervisor_is_calm &= not any(victim.startswith("daemon") for victim in strike.victims)
        self.users.blame(strike.victims, at)

    def _calm_supervisor(self) -> None:
        """It counts the ends of its daemon and waits longer each time; a new one begins to count anew. And a daemon
        whose supervisor was killed has one again."""
        if not self._supervisor_is_calm:
            self.shop.do("daemon", "stop", "--force")
            self._supervisor_is_calm = True

    # --- afterwards

    def assert_ended(self, ran: Ran, *states: State) -> None:
        """As without the kills: state, journal, exit code, report, router, processes."""
        about = f"after {'; '.join(map(str, ran.struck))}\n{self.journal.told(ran.id, 60)}"
        assert ran.state in states, about
        assert ran.exit in (None, EXITS[ran.state]), f"{ran.exit} {ran.said}\n{about}"
        self.journal.assert_whole(ran.id)
        self._assert_routes(ran, about)
        self._assert_report(ran, about)
        self.assert_only(ran.serving)

    def _assert_routes(self, ran: Ran, about: str) -> None:
        """No older owner wrote after a newer one; on the way back the new release never gained a share."""
        epochs = [routed.epoch for routed in ran.routes]
        assert epochs == sorted(epochs), about
        decided = [row.at for row in ran.rows if row.key == "back/decided"]
        shares = [_share(routed, slug(ran.new)) for routed in ran.routes if decided and routed.at > decided[0]]
        assert shares == sorted(shares, reverse=True), about

    def _assert_report(self, ran: Ran, about: str) -> None:
        good = "⚠️ ROLLBACK" if ran.action == "rollback" else "✅ SUCCESS"
        sign = {State.SUCCEEDED: good, State.ROLLED_BACK: "⚠️ ROLLBACK"}.get(ran.state, "❌ FAILED")
        project = self.shop.repository / ".soc-deploy"
        assert f"**Status**: {sign}" in (project / "reports" / f"{ran.id}.md").read_text(), about
        assert (project / "DEPLOYMENTS.md").read_text().count(ran.id) <= 1, about

    def assert_only(self, version: str) -> None:
        """One router, one guard, the instances of one version; no timer runs any more."""
        wanted = {"router": 1, "guard": 1, f"instance of {slug(version)}": INSTANCES}
        try:
            wait_for(lambda: self.serves(version) and self.processes() == wanted, 20)
        except AssertionError:
            raise AssertionError(f"{self.record()['timer']} {self.processes()} is not {wanted}") from None

    def serves(self, version: str) -> bool:
        """Alone, and no timer would change that."""
        record = self.record()
        weights = record["state"]["routes"]["weights"]
        return record["timer"] is None and len(weights) == 1 and next(iter(weights)).startswith(slug(version))

    def record(self) -> dict[str, Any]:
        """What the guard wrote last."""
        (file,) = self.home.glob("t/*/r/guard.json")
        return dict(json.loads(file.read_text()))

    def processes(self) -> dict[str, int]:
        """How many of each kind serve, whoever looks after them."""
        count: dict[str, int] = {}
        for pid, line in running_below(self.home).items():
            if name := self._name(pid, line):
                count[name] = count.get(name, 0) + 1
        return count

    def _name(self, pid: int, line: str) -> str:
        if "/bin/envoy-" in line.partition(" ")[0]:
            return "router"
        if "/lib/guard-" in line:
            return "guard"
        if " server.py" in line:
            folder = Path(f"/proc/{pid}/cwd")
            return f"instance of {folder.readlink().name.rpartition('-')[0]}-" if folder.exists() else "instance"
        return ""


class _Watch:
    """Follows a run in the journal and strikes when it is time."""

    def __init__(
        self, stage: Stage, ran: Ran, strikes: Sequence[Strike], slugs: Slugs, client: int, *, abort: bool
    ) -> None:
        self.stage, self.ran, self.slugs, self.client = stage, ran, slugs, client
        self.todo, self.abort = list(strikes), abort
        self.seen: dict[str, int] = {}
        self.aborting: subprocess.Popen[str] | None = None
        self._mark = 0

    def to_the_end(self) -> None:
        try:
            for row in self.stage.journal.follow(self.ran.id, RUN_S):
                self._look_at_routes()
                self._see_to_the_abort(row)
                if row is not None:
                    self._strike_at(row)
        finally:
            if self.aborting:
                self.aborting.kill()
                self.aborting.communicate()
        never = ", ".join(map(str, self.todo))
        assert not never, f"never came: {never}\n{self.stage.journal.told(self.ran.id, 60)}"

    def _strike_at(self, row: Row) -> None:
        self.seen[row.name] = self.seen.get(row.name, 0) + 1
        for strike in [s for s in self.todo if (s.at, s.nth) == (row.name, self.seen[row.name])]:
            self.todo.remove(strike)
            time.sleep(strike.after_s)
            pids = [self._pid(victim) for victim in strike.victims]
            at = time.time()
            for victim, pid in zip(strike.victims, pids, strict=True):
                assert pid, f"{victim}: nobody there to be killed at {strike}"
                kill(pid)
            self.ran.struck.append(strike)
            self.stage.struck(strike, at)

    def _pid(self, victim: Any) -> int | None:
        if victim == "client":
            return self.client
        return found(self.stage.home, victim, self.slugs, lambda: self.stage.journal.over(self.ran.id))

    def _see_to_the_abort(self, row: Row | None) -> None:
        """Typed when users are about to meet the new release, and again when it was not taken: the daemon may die."""
        if not self.abort or (row is not None and row.kind != "intent"):
            return
        begun = self.aborting is not None or (row is not None and "weights" in str(row.payload.get("what")))
        if not begun or (self.aborting and self.aborting.poll() in (None, 0)):
            return
        self.aborting = self.stage.shop.follow("abort", self.ran.id)

    def _look_at_routes(self) -> None:
        (file,) = self.stage.home.glob("t/*/r/guard.json")
        if (mark := file.stat().st_mtime_ns) == self._mark:
            return
        self._mark, record = mark, self.stage.record()
        routed = Routed(time.time(), record["epoch"], record["state"]["routes"]["weights"])
        if not self.ran.routes or self.ran.routes[-1].weights != routed.weights:
            self.ran.routes.append(routed)


def _share(routed: Routed, beginning: str) -> int:
    return sum(weight for name, weight in routed.weights.items() if name.startswith(beginning))


@contextmanager
def stage(repository: Path, home: Path, folder: Path, changes: Mapping[str, Any] | None = None) -> Iterator[Stage]:
    """v1.0.0 serves and has users. At the end everything is stopped in order."""
    with product(repository, home, {}, BRIEF, changes or {}) as shop:
        begun = shop.follow(*deploying(GOOD[0]))  # without users the judge has nothing to accept by
        wait_for(lambda: shop.answered_by() == GOOD[0] or begun.poll() is not None, 60)
        with users(shop.port, folder, RATE) as visitors:
            said, _ = begun.communicate(timeout=RUN_S)
            assert begun.returncode == 0, said
            made = Stage(shop, visitors)
            try:
                yield made
            finally:
                made.journal.close()
