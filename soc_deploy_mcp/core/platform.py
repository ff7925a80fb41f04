"""The one Protocol through which releases reach a machine or a cluster, and what it shows of reality.

`PlatformReader` is all that planning, checks and personas get; `Platform` adds the writes, each of which takes the
epoch and refuses an older one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from soc_deploy_mcp.core.ids import Epoch, Instant, Slug
from soc_deploy_mcp.core.metrics import ArmLabels, MetricsSource
from soc_deploy_mcp.core.release import Release, Target

Weights = Mapping[Slug, int]  # percent, sum 100; an empty mapping means that requests are held


class InstanceState(StrEnum):
    STARTING = "starting"  # the process lives, it has not answered well yet
    READY = "ready"  # the router says it is healthy
    UNREADY = "unready"  # it lives and was ready, the router says it is not healthy now
    DRAINING = "draining"
    EXITED = "exited"
    FAILED = "failed"  # restarts are used up, or it could not be started


@dataclass(frozen=True, slots=True)
class InstanceSeen:
    name: str  # unique on the target, for people: v2_1_0-bbbb2222-21004
    release: Slug
    port: int
    pid: int | None
    state: InstanceState
    restarts: int = 0  # not asked for by us: the judge calls each one a crash
    exit_code: int | None = None
    in_flight: int = 0
    cpu_ratio: float | None = None  # of the cores it may use; None: no sample, which is not zero
    memory_ratio: float | None = None  # of its limit
    memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class ReleaseSeen:
    slug: Slug
    version: str
    instances: tuple[InstanceSeen, ...]

    @property
    def ready(self) -> int:
        return sum(i.state is InstanceState.READY for i in self.instances)

    @property
    def restarts(self) -> int:
        return sum(i.restarts for i in self.instances)


@dataclass(frozen=True, slots=True)
class DeadMan:
    """The timer beside the router. `fired_at` is set when it returned the traffic by itself."""

    armed: bool
    remaining_s: float | None = None
    fired_at: Instant | None = None
    fallback: Mapping[Slug, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """What is, never what was ordered. `weights` is None when the router cannot be asked."""

    at: Instant
    releases: Mapping[Slug, ReleaseSeen]
    weights: Mapping[Slug, int] | None  # {} = held or maintenance
    mode: str  # serve | hold | maintenance | down
    router: str  # one line for people: "envoy 1.40.0 up"
    epoch: Epoch
    applied: str  # the configuration version in force: "7.12"
    dead_man: DeadMan
    entry: str  # http://127.0.0.1:8080

    def weight(self, slug: Slug) -> int | None:
        """The share of users' requests a release gets; None when unknown."""
        return None if self.weights is None else self.weights.get(slug, 0)

    def ready(self, slug: Slug) -> int:
        seen = self.releases.get(slug)
        return seen.ready if seen else 0

    def restarts(self, slug: Slug) -> int:
        seen = self.releases.get(slug)
        return seen.restarts if seen else 0


@dataclass(frozen=True, slots=True)
class Probe:
    """One answer through the real entry. `release` is derived from the instance that answered, not from its words."""

    status: int | None  # None: no answer
    ms: float
    release: Slug | None = None
    body: str = ""  # at most 64 KiB, untrusted
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the platform can do; a plan names what is missing."""

    exact_split: bool  # false: the share is drawn at random for each request
    hold: bool  # requests can wait while nothing serves
    spill: bool  # a dead release's share falls to the stable one
    dead_man: bool
    confirms_version: bool  # the router can be asked which configuration is in force


class PlatformReader(Protocol):
    """Reads only: what gather(), checks and personas get."""

    async def observe(self, target: Target) -> Observation: ...

    async def probe(
        self, target: Target, release: Slug | None, path: str, *, method: str = "GET", fresh: bool = False
    ) -> Probe:
        """One request through the entry: to a release whatever its weight, or (None) through the weights, as users.

        `fresh` opens a new connection for it.
        """
        ...

    def metrics(self, target: Target) -> MetricsSource: ...

    def labels(self, release: Slug) -> ArmLabels:
        """Under which names the router counts a release's requests."""
        ...

    def capabilities(self, target: Target) -> Capabilities: ...


class Platform(PlatformReader, Protocol):
    """The writes. All are idempotent and level-triggered; E_STALE_EPOCH when a newer owner was seen."""

    async def ensure(self, target: Target, release: Release, instances: int, epoch: Epoch) -> None:
        """Start or scale a release. Returns when that many are ready in the router.

        Scaling down drains the surplus first; 0 is refused while the release has weight.
        """
        ...

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
        """One router write; returns when the router reports it in force.

        `fallback` and `lease_s` arm the dead-man timer, without them it is off. `spill_to` names the proven release
        that takes the requests of an unproven one whose instances all died.
        """
        ...

    async def renew(self, target: Target, epoch: Epoch, lease_s: float | None) -> None:
        """Keep the dead-man timer (None: switch it off); the first write of a new owner."""
        ...

    async def drain(self, target: Target, release: Slug, epoch: Epoch) -> int:
        """Let running requests finish; refuses at weight > 0. Returns how many were cut off."""
        ...

    async def remove(self, target: Target, release: Slug, epoch: Epoch) -> None:
        """Stop and forget the instances of a drained release. Its files and logs stay."""
        ...
