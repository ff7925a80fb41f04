"""From what was read (processes, router, guard) to an `Observation`. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from soc_deploy_mcp.core.ids import Epoch, Instant, Slug
from soc_deploy_mcp.core.platform import DeadMan, InstanceSeen, InstanceState, Observation, ReleaseSeen
from soc_deploy_mcp.tools.local.admin import Applied, Clusters, HostSeen
from soc_deploy_mcp.tools.local.guard_client import Status
from soc_deploy_mcp.tools.local.instances import Instance
from soc_deploy_mcp.tools.local.state import RouterState
from soc_deploy_mcp.tools.local.usage import Usage


@dataclass(frozen=True, slots=True)
class Read:
    """Everything one look gathers. `applied` and `clusters` are None when the router does not answer."""

    at: Instant
    instances: tuple[Instance, ...]
    usage: Mapping[str, Usage]
    status: Status | None  # None: this target was never deployed to
    applied: Applied | None
    clusters: Clusters | None
    router: str
    entry: str


def observation(read: Read) -> Observation:
    """What is. A target that never had a router has weights {}: nothing is routed, and that is known."""
    status, applied = read.status, read.applied
    unknown: dict[Slug, int] | None = None if status is not None else {}
    return Observation(
        at=read.at,
        releases=_releases(read),
        weights=dict(applied.weights) if applied else unknown,
        mode=applied.mode.value if applied else "down",
        router=read.router,
        epoch=status.epoch if status else Epoch(0),
        applied=applied.version if applied else "",
        dead_man=_dead_man(status),
        entry=read.entry,
    )


def _dead_man(status: Status | None) -> DeadMan:
    if status is None:
        return DeadMan(armed=False)
    timer = status.timer if status.timer and status.timer.kind == "lease" else None
    return DeadMan(
        armed=timer is not None,
        remaining_s=timer.left_s if timer else None,
        fired_at=status.fired_at,
        fallback=dict(timer.weights) if timer else {},
    )


def _releases(read: Read) -> dict[Slug, ReleaseSeen]:
    state = read.status.state if read.status else RouterState()
    versions = {p.slug: p.version for p in state.pools} | {i.release: i.version for i in read.instances}
    found: dict[Slug, ReleaseSeen] = {}
    for slug in sorted(versions):
        seen = tuple(_instances(read, state, slug))
        if seen or state.pool(slug):
            found[slug] = ReleaseSeen(slug, versions[slug], seen)
    return found


def _instances(read: Read, state: RouterState, slug: Slug) -> Iterable[InstanceSeen]:
    for instance in read.instances:
        if instance.release != slug:
            continue
        host = read.clusters.host(slug, instance.port) if read.clusters else None
        kind = instance_state(instance, state, host)
        if kind is not None:
            yield _seen(instance, kind, host, read.usage.get(instance.name))


def instance_state(instance: Instance, state: RouterState, host: HostSeen | None) -> InstanceState | None:
    """None: nothing to see, it was stopped as asked or never began."""
    if not instance.alive:
        return _ended(instance)
    pool = state.pool(instance.release)
    ends = {e.port: e.draining for e in pool.endpoints} if pool else {}
    if instance.name in state.doomed or ends.get(instance.port):
        return InstanceState.DRAINING
    if instance.port not in ends:
        return InstanceState.STARTING
    # Unknown is not good: without the router's word it is not ready.
    return InstanceState.READY if host is not None and host.healthy else InstanceState.UNREADY


def _ended(instance: Instance) -> InstanceState | None:
    status = instance.status
    if status is None:
        return InstanceState.STARTING if instance.supervised else None
    if not instance.crashes and status.stopped:
        return None
    return InstanceState.FAILED if instance.over and status.state != "exited" else InstanceState.EXITED


def _seen(instance: Instance, state: InstanceState, host: HostSeen | None, usage: Usage | None) -> InstanceSeen:
    return InstanceSeen(
        name=instance.name,
        release=instance.release,
        port=instance.port,
        pid=instance.leader,
        state=state,
        restarts=instance.crashes,
        exit_code=instance.status.code if instance.status else None,
        in_flight=host.in_flight if host else 0,
        cpu_ratio=usage.cpu_ratio if usage else None,
        memory_ratio=usage.memory_ratio if usage else None,
        memory_mb=usage.memory_bytes / 1048576 if usage and usage.memory_bytes is not None else None,
    )
