"""`LocalPlatform`: the Platform protocol on one machine. Holds no truth: another object on the same home goes on."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from soc_deploy_mcp.core.config.service import ServiceSpec
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.evidence import Evidence
from soc_deploy_mcp.core.ids import Epoch, Instant, Slug, TargetId
from soc_deploy_mcp.core.metrics import ArmLabels, MetricsSource
from soc_deploy_mcp.core.platform import Capabilities, Observation, Platform, Probe, Weights
from soc_deploy_mcp.core.release import Release, Target
from soc_deploy_mcp.tools.local import admin, envoy, instances, launch, preflight, proc, releases
from soc_deploy_mcp.tools.local.guard_client import Status
from soc_deploy_mcp.tools.local.layout import Place
from soc_deploy_mcp.tools.local.observing import Read, observation
from soc_deploy_mcp.tools.local.probing import Answered, Prober
from soc_deploy_mcp.tools.local.router import OFF, DeadManWish, Router
from soc_deploy_mcp.tools.local.scaling import Scaling
from soc_deploy_mcp.tools.local.state import RouterState, held, refusal, shifted
from soc_deploy_mcp.tools.local.usage import Meter

READY_S = 2.0  # how long a router that just restarted may take to see the instances again
ASKED_S = 0.5  # how long the router is asked before a write goes on without its word
_LOOKS, _BETWEEN_LOOKS_S = 4, 0.005
CAPABILITIES = Capabilities(exact_split=False, hold=True, spill=True, dead_man=True, confirms_version=True)


class _Side:
    """What this process keeps for a target: nothing that could not be read again."""

    def __init__(self, home: Path, target: Target) -> None:
        self.place = Place.of(home, target)
        self.router = Router(self.place)
        self.prober = Prober(self.router)
        self.meter = Meter()
        self.turns: dict[Slug, asyncio.Lock] = {}  # one change of a release's instances at a time


class LocalPlatform(Platform):
    """`home` is the state home; `resolve` turns a secret reference into its value, when an instance is started;
    `metrics` gives the source that is fed by `scrape.readers`."""

    def __init__(
        self, home: Path, *, resolve: Callable[[str], str], metrics: Callable[[Target], MetricsSource]
    ) -> None:
        self.home = home
        self._resolve = resolve
        self._metrics = metrics
        self._sides: dict[TargetId, _Side] = {}

    def _side(self, target: Target) -> _Side:
        if target.id not in self._sides:
            self._sides[target.id] = _Side(self.home, target)
        return self._sides[target.id]

    # --- reads

    async def observe(self, target: Target) -> Observation:
        side = self._side(target)
        status, applied, clusters = await self._one_moment(side)
        found = tuple(instances.scan(side.place))
        entry = _entry(side.place)
        return observation(
            Read(
                at=Instant(time.time()),
                instances=found,
                usage=side.meter.sample(found),
                status=status,
                applied=applied,
                clusters=clusters,
                router=_router_line(side.place, up=applied is not None),
                entry=f"http://{entry[0]}:{entry[1]}" if entry else "",
            )
        )

    async def _one_moment(self, side: _Side) -> tuple[Status | None, admin.Applied | None, admin.Clusters | None]:
        """The guard's word and the router's, of the same write: between two reads the dead-man timer may fire, and
        the weights without the mark would look like somebody else's doing."""
        for _ in range(_LOOKS):
            applied, clusters = None, None
            with contextlib.suppress(admin.RouterDown):
                applied, clusters = await side.router.in_force()
            status = await side.router.status()
            if applied is None or status is None or applied.version == status.version:
                break
            await asyncio.sleep(_BETWEEN_LOOKS_S)
        return status, applied, clusters

    async def probe(
        self, target: Target, release: Slug | None, path: str, *, method: str = "GET", fresh: bool = False
    ) -> Probe:
        side = self._side(target)
        entry = _entry(side.place)
        if entry is None:
            return Probe(status=None, ms=0.0, error="nothing was deployed to this target yet")
        return await side.prober.probe(entry, release, path, method, fresh)

    def metrics(self, target: Target) -> MetricsSource:
        return self._metrics(target)

    def labels(self, release: Slug) -> ArmLabels:
        return ArmLabels("envoy_cluster_name", (release, envoy.spill_name(release)))

    def capabilities(self, target: Target) -> Capabilities:
        return CAPABILITIES

    # --- writes

    async def ensure(self, target: Target, release: Release, instances: int, epoch: Epoch) -> None:
        side = self._side(target)
        async with side.turns.setdefault(release.slug, asyncio.Lock()):
            if instances == 0:
                await self._none_left(side, release.slug, epoch)
                return
            await side.router.up(epoch, release.spec)
            scaling = Scaling(side.router, epoch, self._resolve)
            await scaling.up_to(release, instances)
            await scaling.down_to(release.slug, instances)

    async def _none_left(self, side: _Side, slug: Slug, epoch: Epoch) -> None:
        if not side.place.boot.exists():
            return
        await side.router.up(epoch)
        scaling = Scaling(side.router, epoch, self._resolve)
        await scaling.drain(slug)
        await scaling.remove(slug)

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
        router = self._side(target).router
        await router.claim(epoch)
        if weights:
            await self._refuse_unready(router, weights, fallback)
        wish = OFF if fallback is None or lease_s is None else DeadManWish(dict(fallback), lease_s)
        await router.change(epoch, lambda state: _routed(state, weights, spill_to), wish)
        return await self.observe(target)

    async def _refuse_unready(self, router: Router, weights: Weights, fallback: Weights | None) -> None:
        """Raises E_WEIGHTS. A router that is silent just now delays nothing: it reads the files when it is back."""
        until = time.monotonic() + READY_S
        while True:
            state = (await router.written()).state
            living = {i.port for i in instances.scan(router.place) if i.alive}  # the router notices a death later
            ready = {p.slug: len(living.intersection(p.serving)) for p in state.pools}
            with contextlib.suppress(admin.RouterDown, TimeoutError):
                async with asyncio.timeout(ASKED_S):
                    _, clusters = await router.in_force()
                ready = {slug: len(living & clusters.ready_ports(slug)) for slug in state.slugs}
            why = refusal(state, weights, ready)
            if why is None and fallback:
                why = refusal(state, fallback, {p.slug: len(p.serving) for p in state.pools})
            if why is None:
                return
            if time.monotonic() > until or not _may_become_ready(weights, state, living):
                raise _unfit_weights(why)
            await asyncio.sleep(0.02)

    async def renew(self, target: Target, epoch: Epoch, lease_s: float | None) -> None:
        await self._side(target).router.renew(epoch, lease_s)

    async def drain(self, target: Target, release: Slug, epoch: Epoch) -> int:
        side = self._side(target)
        async with side.turns.setdefault(release, asyncio.Lock()):
            if not side.place.boot.exists():
                return 0
            await side.router.up(epoch)
            return await Scaling(side.router, epoch, self._resolve).drain(release)

    async def remove(self, target: Target, release: Slug, epoch: Epoch) -> None:
        side = self._side(target)
        async with side.turns.setdefault(release, asyncio.Lock()):
            if side.place.boot.exists():
                await side.router.up(epoch)
                await Scaling(side.router, epoch, self._resolve).remove(release)

    # --- beside the protocol

    async def inspect(self, target: Target, spec: ServiceSpec) -> tuple[Evidence, ...]:
        """Can this service run here? Raises the errors of a machine that does not fit, before anything is started."""
        return await preflight.inspect(spec, self.home, target=target)

    async def seal(self, target: Target, release: Release) -> Path:
        """The directory of a release, fetched and prepared; for what must run before its first instance."""
        return await releases.seal(self._side(target).place, release)

    def environment(self, release: Release) -> dict[str, str]:
        """What a command of a release sees, its secrets among it; for migrations. Never to be written anywhere."""
        secrets = {name: self._resolve(reference) for name, reference in release.spec.secrets.items()}
        return launch.base_environment() | {"VERSION": release.version} | release.spec.env | secrets

    def retrievable(self, target: Target, slug: Slug) -> bool:
        """Is the release still on the disk, so that it can be gone back to without fetching it?"""
        return releases.sealed(self._side(target).place, slug)

    def activate(self, target: Target, slug: Slug) -> None:
        """Note that a release became stable: the link `current` and `revisions.log`, for people."""
        releases.activate(self._side(target).place, slug, Instant(time.time()))

    async def prune(self, target: Target, keep: int, pinned: Collection[Slug]) -> tuple[Slug, ...]:
        """Delete old releases; never one that is pinned, routed or has a process. Returns what was deleted."""
        side = self._side(target)
        status = await side.router.status()
        routed = status.state.slugs if status else ()
        used = {i.release for i in instances.scan(side.place) if i.lasting}
        return await asyncio.to_thread(releases.prune, side.place, keep, {*pinned, *routed, *used})

    def logs(self, target: Target, lines: int = 100, of: Slug | None = None) -> list[tuple[str, Slug, str]]:
        """(instance, release, end of its output) of every instance, and of a newer release that failed; or those of
        one release, also when it is stopped. Untrusted."""
        place = self._side(target).place
        found = instances.told(place) if of is None else instances.last_told(place, of)
        for slug in {i.release for i in found}:
            # Started by a process before this one, perhaps: what it may have printed must be known to the redactor.
            for reference in releases.secrets(place, slug):
                with contextlib.suppress(DeployError):
                    self._resolve(reference)
        return [(i.name, i.release, instances.tail(i.directory, lines)) for i in found]

    async def take_down(self, target: Target, epoch: Epoch) -> None:
        """Stop everything of a target: users get nothing from then on. Releases and logs stay."""
        side = self._side(target)
        if not side.place.root.exists():
            return
        await side.router.claim(epoch, made=False)
        side.prober.close()
        await side.router.stop_envoy()
        found = instances.scan(side.place)
        await asyncio.gather(*(instances.stop(i) for i in found))
        for instance in found:
            instances.bury(instance)
        await side.router.forget(epoch)
        await side.router.stop_guard()

    # --- for the metrics

    def place(self, target: Target) -> Place:
        return self._side(target).place

    def probes(self, target: Target) -> Mapping[Answered, int]:
        """Probes that were answered, as the router counted them: requests that are not the users'."""
        return self._side(target).prober.counts

    def routed_instances(self, target: Target) -> list[tuple[Slug, str, int]]:
        """(release, version, port) of every instance the router knows."""
        status = self._side(target).router.recorded()
        return [(p.slug, p.version, port) for p in status.state.pools for port in p.ports] if status else []


def _routed(state: RouterState, weights: Weights, spill_to: Slug | None) -> RouterState:
    if not weights:
        return held(state)
    try:
        return shifted(state, weights, spill_to)
    except ValueError as wrong:
        raise DeployError(
            "E_WEIGHTS", "the weights cannot be put into force", str(wrong), "soc-deploy status"
        ) from None


def _unfit_weights(why: str) -> DeployError:
    return DeployError("E_WEIGHTS", "the weights cannot be put into force", why, "soc-deploy status")


def _may_become_ready(weights: Mapping[Slug, int], state: RouterState, living: set[int]) -> bool:
    """Do processes live behind all these weights? Then the router may only need a moment."""
    if sum(weights.values()) != 100:
        return False
    pools = [state.pool(slug) for slug, weight in weights.items() if weight]
    return all(pool is not None and living.intersection(pool.serving) for pool in pools)


def _entry(place: Place) -> tuple[str, int] | None:
    """Where users reach the target."""
    try:
        return envoy.listen_of(place.boot.read_text())
    except OSError:
        return None


def _router_line(place: Place, *, up: bool) -> str:
    """One line for people: envoy 1.40.0 up 3d."""
    status = instances.read_status(place.router_shim)
    try:
        order = json.loads((place.router_shim / "spec.json").read_text())
    except (OSError, ValueError):
        return "no router yet"
    known = f"envoy {launch.version_of(order['argv'][0])}"
    if not up or status is None or not status.start:
        return f"{known} down"
    return f"{known} up {_long(proc.uptime_of(status.start))}"


def _long(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"
