"""A platform in memory: instances that start late, die or never come, a router with epochs and a dead-man timer, and
users whose requests it counts. It answers the Protocol as the real one does; a shared contract test holds them equal.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch, Instant, Slug
from soc_deploy_mcp.core.metrics import ArmLabels, MetricsSource
from soc_deploy_mcp.core.platform import (
    Capabilities,
    DeadMan,
    InstanceSeen,
    InstanceState,
    Observation,
    Probe,
    ReleaseSeen,
    Weights,
)
from soc_deploy_mcp.core.release import Release, Target
from soc_deploy_mcp.engine.clock import Clock


@dataclass
class Behaviour:
    """How a version's application behaves."""

    start_s: float = 0.2
    errors: float = 0.0  # share of requests answered with 500
    slow: float = 0.0  # share of requests above any bound
    never_ready: bool = False
    exits_at_start: bool = False
    crash_after_s: float | None = None  # each instance ends so long after its start, and is started again
    smoke_status: int = 200


@dataclass
class Instance:
    port: int
    started: float
    draining: bool = False
    restarts: int = 0
    dead: bool = False  # it ended, and nobody starts it again


@dataclass
class Served:
    """Users' requests that a release has answered."""

    requests: float = 0.0
    errors: float = 0.0
    slow: float = 0.0


Fault = Callable[[str], None]  # called with the verb before it acts; may raise


class FakePlatform:
    """`rps` users' requests a second reach the entry. `history` is every write that was let through, in order."""

    def __init__(self, clock: Clock, *, rps: float = 200.0) -> None:
        self.clock, self.rps = clock, rps
        self.behaviours: dict[str, Behaviour] = {}
        self.instances: dict[Slug, list[Instance]] = {}
        self.versions: dict[Slug, str] = {}
        self.specs: dict[Slug, Release] = {}
        self.weights: dict[Slug, int] = {}
        self.mode = "maintenance"
        self.epoch = Epoch(0)
        self.seq = 0
        self.deadline: float | None = None
        self.fallback: dict[Slug, int] = {}
        self.spill: dict[Slug, Slug] = {}
        self.held_until: float | None = None
        self.fired_at: Instant | None = None
        self.served: dict[Slug, Served] = {}
        self.lost = 0.0
        self.history: list[tuple[float, str, Slug | None, dict[Slug, int]]] = []
        self.refused: list[str] = []
        self.fault: Fault = lambda verb: None
        self.router_up = True
        self.calls: Counter[str] = Counter()
        self._next_port = 21000
        self._counted_to = 0.0

    # --- the world goes on

    def behaviour(self, slug: Slug) -> Behaviour:
        return self.behaviours.setdefault(self.versions[slug], Behaviour())

    def _ready(self, slug: Slug) -> list[Instance]:
        return [i for i in self.instances.get(slug, []) if self._state(slug, i) is InstanceState.READY]

    def _state(self, slug: Slug, instance: Instance) -> InstanceState:
        how, age = self.behaviour(slug), self.clock.monotonic() - instance.started
        if instance.dead:
            return InstanceState.EXITED
        if instance.draining:
            return InstanceState.DRAINING
        if how.crash_after_s is not None and age >= how.crash_after_s:
            instance.restarts += int(age // how.crash_after_s)
            instance.started += (age // how.crash_after_s) * how.crash_after_s
            age = self.clock.monotonic() - instance.started
        return InstanceState.READY if age >= how.start_s and not how.never_ready else InstanceState.STARTING

    def advance(self) -> None:
        """Let users' requests, the dead-man timer and the end of a hold catch up with the clock."""
        now = self.clock.monotonic()
        if self.deadline is not None and now >= self.deadline:
            fired = self.deadline
            self._serve(fired)
            self.weights, self.deadline, self.spill = dict(self.fallback), None, {}
            self.mode = "serve" if self.weights else "maintenance"
            self.fired_at = Instant(self.clock.wall() - (now - fired))
            self.history.append((fired, "dead-man", None, dict(self.weights)))
        if self.held_until is not None and now >= self.held_until:
            self.mode, self.held_until = "maintenance", None
        self._serve(now)

    def crash(self, slug: Slug, port: int) -> None:
        """An instance ends by itself. It is started again at once, unless its release is not to be."""
        instance = next(i for i in self.instances[slug] if i.port == port)
        instance.restarts += 1
        instance.dead = self.specs[slug].spec.restart == "never"

    def _answers(self, slug: Slug) -> Slug | None:
        """Who answers the requests that are meant for a release."""
        return next((s for s in (slug, self.spill.get(slug)) if s is not None and self._ready(s)), None)

    def _serve(self, until: float) -> None:
        seconds, self._counted_to = max(0.0, until - self._counted_to), max(until, self._counted_to)
        for slug, weight in self.weights.items():
            n, taker = self.rps * seconds * weight / 100, self._answers(slug)
            if taker is None:
                self.lost += n
                continue
            how, tally = self.behaviour(taker), self.served.setdefault(slug, Served())
            tally.requests += n
            tally.errors += n * how.errors
            tally.slow += n * how.slow

    # --- reads

    async def observe(self, target: Target) -> Observation:
        self.calls["observe"] += 1
        self.fault("observe")
        self.advance()
        releases = {slug: self._seen(slug) for slug in self.instances}
        return Observation(
            at=self.clock.wall(),
            releases=releases,
            weights=dict(self.weights) if self.router_up else None,
            mode=self.mode if self.router_up else "down",
            router="fake",
            epoch=self.epoch,
            applied=f"{self.epoch}.{self.seq}",
            dead_man=DeadMan(self.deadline is not None, None, self.fired_at, dict(self.fallback)),
            entry="http://127.0.0.1:0",
        )

    def _seen(self, slug: Slug) -> ReleaseSeen:
        seen = tuple(
            InstanceSeen(
                name=f"{slug}-{i.port}",
                release=slug,
                port=i.port,
                pid=i.port,
                state=self._state(slug, i),
                restarts=i.restarts,
                cpu_ratio=0.1,
                memory_ratio=0.2,
                memory_mb=50.0,
            )
            for i in self.instances[slug]
        )
        return ReleaseSeen(slug, self.versions[slug], seen)

    async def probe(
        self, target: Target, release: Slug | None, path: str, *, method: str = "GET", fresh: bool = False
    ) -> Probe:
        self.calls["probe"] += 1
        self.fault("probe")
        self.advance()
        if not self.router_up:
            return Probe(None, 0.0, error="connection refused")
        slug = self._as_users() if release is None else release
        if slug is None or not self._ready(slug):
            return Probe(503, 1.0)
        return Probe(self.behaviour(slug).smoke_status, 2.0, slug, body=self.versions[slug])

    def _as_users(self) -> Slug | None:
        """Users are spread evenly: the n-th request of a hundred goes where the n-th percent goes."""
        turn = self.calls["probe"] % 100
        for slug, weight in self.weights.items():
            turn -= weight
            if turn < 0:
                return self._answers(slug)
        return None

    def metrics(self, target: Target) -> MetricsSource:
        raise NotImplementedError("the fake world is counted by FakeEyes")

    def labels(self, release: Slug) -> ArmLabels:
        return ArmLabels("release", (release,))

    def capabilities(self, target: Target) -> Capabilities:
        return Capabilities(exact_split=False, hold=True, spill=True, dead_man=True, confirms_version=True)

    # --- writes

    def _refuse_in_use(self, release: Slug) -> None:
        if self.weights.get(release):
            raise DeployError("E_WEIGHTS", f"{release} still has weight", "", "soc-deploy status")
        if self.deadline is not None and self.fallback.get(release):
            why = "the dead-man timer would return the traffic to it"
            raise DeployError("E_WEIGHTS", f"{release} cannot be drained or stopped", why, "soc-deploy status")

    def _write(self, verb: str, epoch: Epoch) -> None:
        self.calls[verb] += 1
        self.fault(verb)
        self.advance()
        if epoch < self.epoch:
            self.refused.append(verb)
            raise DeployError("E_STALE_EPOCH", f"epoch {epoch} is older than {self.epoch}", "", "soc-deploy status")
        self.epoch = epoch

    def _note(self, verb: str, slug: Slug | None) -> None:
        self.history.append((self.clock.monotonic(), verb, slug, dict(self.weights)))

    async def ensure(self, target: Target, release: Release, instances: int, epoch: Epoch) -> None:
        self._write("ensure", epoch)
        slug = release.slug
        self.versions[slug], self.specs[slug] = release.version, release
        if instances == 0:
            self._refuse_in_use(slug)
        self._scale(slug, instances)
        self._note("ensure", slug)
        await self._until_ready(release, instances)

    def _scale(self, slug: Slug, instances: int) -> None:
        here = self.instances.get(slug, [])
        living = [i for i in here if not i.dead]
        for instance in living:
            instance.draining = False  # what was on its way out serves again
        for surplus in living[instances:]:
            here.remove(surplus)
        for _ in range(instances - len(living)):
            self._next_port += 1
            here.append(Instance(self._next_port, self.clock.monotonic()))
        if instances:
            self.instances[slug] = here
        else:
            self.instances.pop(slug, None)

    async def _until_ready(self, release: Release, instances: int) -> None:
        how, limit = self.behaviour(release.slug), release.spec.health.start_timeout_s
        if instances and how.exits_at_start:
            raise DeployError("E_EXITED_AT_START", f"{release.version} ended with exit code 1", "", "soc-deploy logs")
        started = self.clock.monotonic()
        while len(self._ready(release.slug)) < instances:
            if self.clock.monotonic() - started >= limit:
                raise DeployError("E_START_TIMEOUT", f"{release.version} is not ready", "", "soc-deploy logs")
            await asyncio.sleep(0.1)

    async def shift(
        self,
        target: Target,
        weights: Weights,
        epoch: Epoch,
        *,
        fallback: Weights | None = None,
        lease_s: float | None = None,
        spill_to: Slug | None = None,
    ) -> Observation:
        self._write("shift", epoch)
        if weights:
            self._refuse_unfit(weights, fallback, spill_to)
            self.mode, self.held_until = "serve", None
        else:
            self._hold()
        self.weights = {slug: weight for slug, weight in weights.items() if weight}
        self.spill = {slug: spill_to for slug in self.weights if slug != spill_to} if spill_to else {}
        self.seq += 1
        self.fired_at = None
        armed = bool(weights) and fallback is not None and lease_s is not None
        self.fallback = dict(fallback or {}) if armed else {}
        self.deadline = self.clock.monotonic() + (lease_s or 0.0) if armed else None
        self._note("shift", None)
        return await self.observe(target)

    def _hold(self) -> None:
        """As long as the longest of the releases that serve allows; asked for again, it is not prolonged."""
        if self.mode == "serve":
            self.mode = "hold"
            self.held_until = self.clock.monotonic() + max(self.specs[slug].spec.hold_s for slug in self.weights)

    def _refuse_unfit(self, weights: Weights, fallback: Weights | None, spill_to: Slug | None) -> None:
        for wanted in (weights, fallback or {}):
            if wanted and (min(wanted.values()) < 0 or sum(wanted.values()) != 100):
                raise DeployError("E_WEIGHTS", f"the weights sum to {sum(wanted.values())}", "", "soc-deploy status")
        for slug, weight in weights.items():
            if weight and not self._ready(slug):
                raise DeployError("E_WEIGHTS", f"{slug} has no ready instance", "", "soc-deploy status")
        for slug in (*(s for s, weight in (fallback or {}).items() if weight), *((spill_to,) if spill_to else ())):
            if not self.instances.get(slug):
                raise DeployError("E_WEIGHTS", f"{slug} is not in the router", "", "soc-deploy status")

    async def renew(self, target: Target, epoch: Epoch, lease_s: float | None) -> None:
        self._write("renew", epoch)
        if lease_s is None or self.deadline is not None:
            self.deadline = None if lease_s is None else self.clock.monotonic() + lease_s

    async def drain(self, target: Target, release: Slug, epoch: Epoch) -> int:
        self._write("drain", epoch)
        self._refuse_in_use(release)
        for instance in self.instances.get(release, []):
            instance.draining = True
        self._note("drain", release)
        return 0

    async def remove(self, target: Target, release: Slug, epoch: Epoch) -> None:
        self._write("remove", epoch)
        self._refuse_in_use(release)
        self.instances.pop(release, None)
        self._note("remove", release)
