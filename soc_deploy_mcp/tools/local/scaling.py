"""More or fewer instances of a release, with the router told in the right order: capacity before traffic, traffic
before capacity is removed.

Level-triggered: each verb looks at what lives, whoever started it, and does what is missing.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch, Slug
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.tools.local import admin, instances, releases
from soc_deploy_mcp.tools.local.guard_client import Status
from soc_deploy_mcp.tools.local.instances import Instance
from soc_deploy_mcp.tools.local.readiness import Vanished, wait_ready
from soc_deploy_mcp.tools.local.router import Router
from soc_deploy_mcp.tools.local.state import (
    RouterState,
    pool_for,
    with_draining,
    with_instances,
    without_instances,
    without_release,
)

HEALTHY_S = 10.0  # in which the router must agree that an instance is healthy
SETTLE_S = 0.1
_POLL_S = 0.01
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Scaling:
    """The verbs on one target's instances, for one owner."""

    router: Router
    epoch: Epoch
    resolve: Callable[[str], str]  # a secret reference -> its value

    # --- up

    async def up_to(self, release: Release, wanted: int) -> None:
        """At least so many instances are ready in the router."""
        await releases.seal(self.router.place, release)
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(Vanished):
                await self._try_up_to(release, wanted)
                return
        raise DeployError(
            "E_EXITED_AT_START",
            f"instances of {release.label} end as fast as they are started",
            "Each was ready once, and ended before all were.",
            "soc-deploy logs",
        )

    async def _try_up_to(self, release: Release, wanted: int) -> None:
        present, dead = await self._present(release.slug)
        orphans = [i for i in present if i.alive and not i.supervised]  # their supervisor died: they get another one
        missing = max(0, wanted - len(present))
        secrets = self._secrets(release) if orphans or missing else {}
        fresh = [instances.order(self.router.place, release, self.epoch) for _ in range(missing)]
        await asyncio.gather(*(self._start(i, release, secrets) for i in [*orphans, *fresh]))
        try:
            await self._all_ready(present, fresh, release, secrets)
        except DeployError:
            # They never had a request; their directories stay to be looked at.
            await asyncio.gather(*(instances.stop(i) for i in map(_again, fresh) if i))
            raise
        await self._route(release, [*present, *fresh], dead)

    def _secrets(self, release: Release) -> dict[str, str]:
        return {name: self.resolve(reference) for name, reference in release.spec.secrets.items()}

    async def _start(self, instance: Instance, release: Release, secrets: Mapping[str, str]) -> None:
        # Interrupted in the middle it would be a process without its environment.
        await asyncio.shield(instances.start(self.router.place, instance, release, secrets))

    async def _present(self, slug: Slug) -> tuple[list[Instance], list[Instance]]:
        """The instances that may be used, and those that are over. What an earlier owner was stopping is stopped."""
        doomed = set((await self.router.written()).state.doomed)
        found = instances.scan(self.router.place, slug)
        await self._end([i for i in found if i.name in doomed])
        rest = [i for i in found if i.name not in doomed]
        present = [i for i in rest if i.lasting]
        dead = [i for i in rest if not i.lasting]
        for instance in dead:
            if not instance.crashes:  # a half-made start; a crash stays visible until the release is removed
                instances.bury(instance)
        return present, dead

    async def _all_ready(
        self, present: list[Instance], fresh: list[Instance], release: Release, secrets: Mapping[str, str]
    ) -> None:
        healthy = await self._healthy_ports(release.slug)
        health, hidden = release.spec.health, tuple(secrets.values())
        waits = [(i, True) for i in fresh] + [(i, False) for i in present if not (i.alive and i.port in healthy)]
        tasks = [asyncio.create_task(wait_ready(i, health, fresh=new, secrets=hidden)) for i, new in waits]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _healthy_ports(self, slug: Slug) -> set[int]:
        try:
            _, clusters = await self.router.in_force()
        except admin.RouterDown:
            return set()
        return clusters.ready_ports(slug)

    async def _route(self, release: Release, live: list[Instance], dead: list[Instance]) -> None:
        ports, gone = [i.port for i in live], [i.port for i in dead]
        pool = pool_for(release.slug, release.version, release.spec)
        await self.router.change(self.epoch, lambda state: with_instances(state, pool, ports, gone))
        await self._healthy_in_router(release.slug, set(ports))

    async def _healthy_in_router(self, slug: Slug, ports: set[int]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + HEALTHY_S
        while not ports <= await self._healthy_ports(slug):
            if loop.time() > end:
                raise DeployError(
                    "E_START_TIMEOUT",
                    f"the router's health check of {slug} does not pass",
                    "The instances answered us, but not the router.",
                    "fix health.path and health.expect in soc-deploy.yaml",
                )
            await asyncio.sleep(_POLL_S)

    # --- down

    async def down_to(self, slug: Slug, wanted: int) -> None:
        """Drain and stop what is more than so many: what is not ready first, then the youngest."""
        present, _ = await self._present(slug)
        if len(present) <= wanted:
            return
        healthy = await self._healthy_ports(slug)
        order = sorted(present, key=lambda i: (i.port in healthy, -i.ordered_at))
        surplus = order[: len(present) - wanted]
        ports, names = [i.port for i in surplus], [i.name for i in surplus]
        await self.router.change(self.epoch, lambda state: with_draining(state, slug, ports))
        await self._idle(slug, set(ports))
        await self.router.change(self.epoch, lambda state: without_instances(state, slug, ports, names))
        await self._end(surplus)

    async def drain(self, slug: Slug) -> int:
        """No new requests for a release without weight; how many were still running when the time was over."""
        status = await self.router.written()
        refuse_in_use(status, slug)
        pool = status.state.pool(slug)
        if pool is None:
            return 0

        def decide(state: RouterState) -> RouterState:
            refuse_weight(state, slug)
            return with_draining(state, slug, pool.ports)

        await self.router.change(self.epoch, decide)
        return await self._idle(slug, set(pool.ports))

    async def remove(self, slug: Slug) -> None:
        """Out of the router, then stopped. Returns when no process of it is left."""
        status = await self.router.written()
        refuse_in_use(status, slug)
        names = [i.name for i in instances.scan(self.router.place, slug)]

        def decide(state: RouterState) -> RouterState:
            refuse_weight(state, slug)
            return without_release(state, slug, names)

        await self.router.change(self.epoch, decide)
        found = instances.scan(self.router.place, slug)
        await self._end(found)
        await self.router.change(self.epoch, lambda state: _forgiven(state, [i.name for i in found]))

    async def _idle(self, slug: Slug, ports: set[int]) -> int:
        """Wait until these instances have had no request for a moment, `drain_s` at most; how many they have.

        A moment, because the router's threads hear of a change a little after it is reported.
        """
        pool = (await self.router.written()).state.pool(slug)
        now = time.monotonic()
        end, idle_since = now + (pool.drain_s if pool else 0.0), None
        while True:
            running, now = await self._running(slug, ports), time.monotonic()
            idle_since = None if running else (idle_since or now)
            if now >= end or (idle_since is not None and now - idle_since >= SETTLE_S):
                return running
            await asyncio.sleep(0.02)

    async def _running(self, slug: Slug, ports: set[int]) -> int:
        try:
            _, clusters = await self.router.in_force()
        except admin.RouterDown:
            return 0  # whoever forwarded them is gone, and they with it
        return sum(h.in_flight for port, h in clusters.hosts.get(slug, {}).items() if port in ports)

    async def _end(self, surplus: list[Instance]) -> None:
        await asyncio.gather(*(instances.stop(i) for i in surplus))
        for instance in surplus:
            instances.bury(instance)


def refuse_weight(state: RouterState, slug: Slug) -> None:
    """Raises E_WEIGHTS: a release that gets requests is not taken away."""
    if weight := state.routes.weights.get(slug, 0):
        raise in_use(slug, f"It has {weight} % of the requests.")


def refuse_in_use(status: Status, slug: Slug) -> None:
    """Raises E_WEIGHTS, also when the dead-man timer would return the traffic there."""
    refuse_weight(status.state, slug)
    if status.timer and status.timer.weights.get(slug):
        raise in_use(slug, "The dead-man timer would return the traffic to it.")


def in_use(slug: Slug, why: str) -> DeployError:
    return DeployError("E_WEIGHTS", f"{slug} cannot be drained or stopped", why, "soc-deploy status")


def _forgiven(state: RouterState, names: list[str]) -> RouterState:
    """Nothing is left of these instances, so nobody can adopt them."""
    return state.model_copy(update={"doomed": tuple(n for n in state.doomed if n not in names)})


def _again(instance: Instance) -> Instance | None:
    return instances.read(instance.directory)
