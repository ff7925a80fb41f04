"""The router of one target and the guard beside it: kept alive, changed step by step, asked what is in force."""

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from soc_deploy_mcp.core.config.service import ServiceSpec
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch, Slug
from soc_deploy_mcp.tools.local import admin, envoy, instances, launch, proc, supervision
from soc_deploy_mcp.tools.local.guard_client import Conflict, Fallback, GuardClient, GuardDown, Status, parse_status
from soc_deploy_mcp.tools.local.layout import Place, write_atomic
from soc_deploy_mcp.tools.local.limits import allowed_connections
from soc_deploy_mcp.tools.local.state import Mode, RouterState, maintained, phases, returned

ENDING_S = 2.0  # in which the port of a router that was killed becomes free
CONFIRM_S = 5.0
LOOK_S = 0.5  # in which the guard answers somebody who only looks
REJECT_S = 0.3  # a file that is not in force after that may have been refused: the log is read
_ATTEMPTS = 50  # at a write that others get in between, and at a guard that ends while it is asked

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class DeadManWish:
    """What a change wants of the dead-man timer: `weights` (none: maintenance) after `lease_s` seconds."""

    weights: Mapping[Slug, int]
    lease_s: float


KEEP = DeadManWish({}, -1.0)  # leave the timer as it is
OFF = DeadManWish({}, 0.0)  # switch it off


class Router:
    def __init__(self, place: Place) -> None:
        self.place = place
        self.guard = GuardClient(place.guard)

    # --- kept alive

    async def up(self, epoch: Epoch, spec: ServiceSpec | None = None) -> Status:
        """Guard and router run and the target belongs to this epoch. With a spec they are made where they are not.

        Raises E_STALE_EPOCH, E_LISTEN_IN_USE, E_NO_ROUTER, E_ROUTER_DOWN; E_WEIGHTS where nothing was deployed.
        """
        status = await self.claim(epoch, made=spec is None)
        if not status.written:
            status = await self._change(epoch, lambda state: state, KEEP, confirm=False)
        if spec is not None:
            await self._listen_where(spec, status.state)
        await self._envoy_up()
        return status

    async def claim(self, epoch: Epoch, *, made: bool = True) -> Status:
        """The target belongs to this epoch; the router itself may be down. `made`: there must have been one."""
        if made and not self.place.boot.exists():
            raise DeployError(
                "E_WEIGHTS", "nothing was deployed to this target yet", "It has no router.", "soc-deploy status"
            )
        await self.guard_up()
        await self._patiently(partial(self.guard.claim, epoch))
        return await self.written()

    async def written(self) -> Status:
        """What the guard has written, from itself. Raises E_ROUTER_DOWN."""
        return await self._patiently(self.guard.status)

    async def renew(self, epoch: Epoch, lease_s: float | None) -> None:
        await self._patiently(partial(self.guard.renew, epoch, lease_s))

    async def _patiently(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """For what may be asked twice: a guard that ended is started again, and its supervisor where that is gone."""
        for _ in range(_ATTEMPTS):
            try:
                return await ask()
            except GuardDown:
                await self.guard_up()
        raise supervision.down(
            "the guard beside the router ends as fast as it is started", instances.tail(self.place.guard_shim)
        )

    async def guard_up(self) -> None:
        self.place.make()
        shim = self.place.guard_shim
        await supervision.keep_up(self.place.home, shim, self._order_guard, self._guard_answers, "the guard")

    async def _order_guard(self) -> bool:
        script = launch.script(self.place.home, "guard")
        argv = [launch.interpreter(), "-I", "-S", str(script), str(self.place.run)]
        supervision.order(self.place.guard_shim, argv, grace_s=2, nofile=1024)
        return True

    async def _guard_answers(self) -> bool:
        try:
            await self.guard.status()
        except GuardDown:
            return False
        return True

    async def _envoy_up(self) -> None:
        shim = self.place.router_shim
        await supervision.keep_up(self.place.home, shim, self._order_envoy, self._envoy_answers, "Envoy")

    async def _envoy_answers(self) -> bool:
        """It takes requests, and a supervisor would start it again."""
        supervised = instances.shim_lives(instances.read_status(self.place.router_shim))
        return supervised and await admin.live(self.place.admin)

    async def _order_envoy(self) -> bool:
        """Envoy shares its port with anybody who allows it: a forgotten one would take half of the connections."""
        if not instances.lives(instances.read_status(self.place.router_shim)):
            await self._entry_free()
        program = await asyncio.to_thread(launch.envoy_copy, self.place.home)
        options = ["--concurrency", "2", "--log-level", "warning", "--disable-hot-restart", "--drain-time-s", "10"]
        argv = [str(program), "-c", str(self.place.boot), *options]
        supervision.order(self.place.router_shim, argv, grace_s=5, nofile=65536)
        return True

    async def _entry_free(self) -> None:
        """Raises E_LISTEN_IN_USE, but not for a router of ours that is just ending."""
        host, port = envoy.listen_of(self.place.boot.read_text())

        async def free() -> bool:
            return proc.owner(port) is None

        if not await supervision.until(free, ENDING_S):
            check_entry_free(host, port)

    async def _listen_where(self, spec: ServiceSpec, state: RouterState) -> None:
        """Write the boot file; a router that serves nobody moves to another entry, one that serves does not."""
        boot = envoy.boot(
            listen=spec.address,
            admin=self.place.admin,
            xds=self.place.xds,
            max_connections=allowed_connections(spec.router.max_connections),
        )
        old = self.place.boot.read_text() if self.place.boot.exists() else None
        if old is not None and envoy.listen_of(old) != spec.address:
            if state.routes.mode is not Mode.MAINTENANCE:
                raise _moved(envoy.listen_of(old), spec.address)
            await self.stop_envoy()
        if old != boot:
            write_atomic(self.place.boot, boot)

    async def stop_envoy(self) -> None:
        await supervision.stop(self.place.router_shim)

    async def stop_guard(self) -> None:
        await supervision.stop(self.place.guard_shim)

    def token(self) -> str:
        """What a request must carry to count as a probe: 128 bit."""
        if not self.place.token.exists():
            write_atomic(self.place.token, secrets.token_hex(16))
        return self.place.token.read_text()

    # --- asked

    async def status(self) -> Status | None:
        """What the guard has written, from its record where it does not answer. None: there is none."""
        try:
            return await self.guard.status(LOOK_S)
        except GuardDown:
            return self.recorded()

    def recorded(self) -> Status | None:
        """The guard's record as it lies on the disk."""
        try:
            return parse_status(json.loads(self.place.guard_record.read_text()))
        except (OSError, ValueError, KeyError):
            return None

    async def in_force(self) -> tuple[admin.Applied | None, admin.Clusters]:
        """Raises RouterDown."""
        return await admin.both(self.place.admin)

    # --- changed

    async def change(
        self, epoch: Epoch, decide: Callable[[RouterState], RouterState], wish: DeadManWish = KEEP
    ) -> Status:
        """Put what `decide` makes of the present state into force, and return when the router has it.

        `decide` is pure and may be called again when somebody else wrote in between (the dead-man timer, for one).
        Raises E_STALE_EPOCH, E_ROUTER_REJECTED (the old state is in force), E_ROUTER_DOWN.
        """
        return await self._change(epoch, decide, wish)

    async def forget(self, epoch: Epoch) -> None:
        """Write that there is no release any more, without a router that could confirm it."""
        await self._change(epoch, lambda state: RouterState(), OFF, confirm=False)

    async def _change(
        self, epoch: Epoch, decide: Callable[[RouterState], RouterState], wish: DeadManWish, *, confirm: bool = True
    ) -> Status:
        for _ in range(_ATTEMPTS):
            status = await self.written()
            old = status.state
            steps = phases(old, decide(old)) or (old,)
            try:
                for step in steps:
                    mark = self._log_size()
                    status = await self._put(status, epoch, step, wish)
                    if confirm:
                        await self._envoy_up()  # behind the write: a router that is down reads it when it is back
                        await self._confirm(status, old, epoch, mark)
                return status
            except (Conflict, GuardDown):
                await asyncio.sleep(0.01)
        raise supervision.down(
            "the guard beside the router does not take a write", instances.tail(self.place.guard_shim)
        )

    async def _put(self, seen: Status, epoch: Epoch, state: RouterState, wish: DeadManWish) -> Status:
        """One write through the guard; none where nothing would change."""
        try:
            fallback = self._fallback(seen, epoch, state, wish)
        except ValueError as wrong:
            raise DeployError(
                "E_WEIGHTS", "the dead-man timer would have nowhere to go", str(wrong), "soc-deploy status"
            ) from None
        if seen.written and state == seen.state and wish is KEEP and epoch == seen.epoch:
            return seen
        version = seen.version if seen.written and state.routes == seen.state.routes else f"{epoch}.{seen.seq + 1}"
        files = self.render(state, version)
        await self.guard.apply(
            seen,
            epoch,
            state=state,
            version=version,
            files=files,
            fallback=fallback,
            forget_fired=wish is not KEEP,
        )
        return await self.written()

    def render(self, state: RouterState, version: str) -> envoy.Files:
        return envoy.render(state, version=version, token=self.token(), xds=self.place.xds)

    def _fallback(self, seen: Status, epoch: Epoch, state: RouterState, wish: DeadManWish) -> Fallback | None:
        """The timer for a state. Its routes are made anew with each write: they may name no release that is gone."""
        armed = seen.timer
        if state.routes.mode is Mode.HOLD:
            kept = armed is not None and armed.kind == "hold"
            return self._returning("hold", None if kept else state.routes.hold_s, maintained(state), epoch)
        if wish is KEEP and armed is not None and armed.kind == "lease":
            return self._returning("lease", None, returned(state, armed.weights), epoch)
        if wish is not KEEP and wish is not OFF:
            return self._returning("lease", wish.lease_s, returned(state, wish.weights), epoch)
        return None

    def _returning(self, kind: str, seconds: float | None, state: RouterState, epoch: Epoch) -> Fallback:
        version = f"{epoch}.fallback"
        routes = self.render(state, version)[envoy.ROUTES]
        return Fallback("hold" if kind == "hold" else "lease", seconds, state, version, routes)

    # --- confirmed

    async def _confirm(self, wanted: Status, old: RouterState, epoch: Epoch, mark: int) -> None:
        """Until the router reports what the guard wrote. `mark`: the size of its log before."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < CONFIRM_S:
            with contextlib.suppress(admin.RouterDown):
                if agrees(wanted, *await self.in_force()):
                    return
            if loop.time() - began > REJECT_S:
                if line := self._refusal_since(mark):
                    await self._restore(old, epoch)
                    raise _rejected(line)
                wanted = await self.status() or wanted  # somebody wrote after us
            await asyncio.sleep(supervision.POLL_S)
        raise supervision.down(
            "the router does not report the new configuration", instances.tail(self.place.router_shim)
        )

    async def _restore(self, old: RouterState, epoch: Epoch) -> None:
        """Files that the router refused must not lie there when it starts again."""
        with contextlib.suppress(Conflict, GuardDown):
            await self._put(await self.guard.status(), epoch, old, KEEP)

    def _log_size(self) -> int:
        try:
            return (self.place.router_shim / "out.log").stat().st_size
        except OSError:
            return 0

    def _refusal_since(self, mark: int) -> str:
        """Envoy's word for a file it refused after the log had `mark` bytes."""
        try:
            with (self.place.router_shim / "out.log").open("rb") as log:
                log.seek(mark)
                lines = log.read(1 << 20).decode(errors="replace").splitlines()
        except OSError:
            return ""
        return next((line for line in lines if "update rejected" in line or "update failure" in line), "")


# --- pure


def agrees(wanted: Status, applied: admin.Applied | None, clusters: admin.Clusters) -> bool:
    """Does the router have what the guard wrote?"""
    if applied is None or applied.version != wanted.version:
        return False
    state = wanted.state
    for pool in state.pools:
        seen = clusters.hosts.get(pool.slug)
        if seen is None or {e.port: e.draining for e in pool.endpoints} != {p: h.draining for p, h in seen.items()}:
            return False
    if set(clusters.hosts.get(envoy.HOLD, {})) != set(envoy.catching_ports(state)):
        return False
    return set(envoy.cluster_names(state)) == set(clusters.hosts)


def _moved(old: tuple[str, int], new: tuple[str, int]) -> DeployError:
    return DeployError(
        "E_CONFIG",
        f"listen is {new[0]}:{new[1]}, but the target serves on {old[0]}:{old[1]}",
        "The entry cannot move while it serves: users would find nobody.",
        f'edit soc-deploy.yaml: listen: "{old[0]}:{old[1]}"',
    )


def _rejected(line: str) -> DeployError:
    return DeployError(
        "E_ROUTER_REJECTED", "Envoy refused a configuration; the old one is in force", line[-500:], "soc-deploy status"
    )


def check_entry_free(host: str, port: int, besides: Collection[int] = ()) -> None:
    """Raises E_LISTEN_IN_USE when a process outside the sessions `besides` listens on the entry's port."""
    if (found := proc.owner(port, besides)) is not None:
        if boot := _BOOT.search(found.command):
            raise _other_target(found, f"{host}:{port}", known=Path(boot[1]).exists())
        raise DeployError(
            "E_LISTEN_IN_USE",
            f"{found} listens on {host}:{port}",
            "The entry's port must be free.",
            f"stop that process, or choose another port: listen in soc-deploy.yaml\nss -ltnp 'sport = :{port}'",
        )


_BOOT = re.compile(r" -c (/\S+/r/boot\.json)")  # an Envoy that a platform of ours started


def _other_target(found: proc.PortOwner, entry: str, *, known: bool) -> DeployError:
    """Nobody is told to end what serves users, but for a router whose state home was deleted under it."""
    if known:
        what = f"another target of soc-deploy is served on {entry} already"
        try_ = "give each environment and service a port of its own: listen in soc-deploy.yaml"
    else:
        what = f"a router of soc-deploy is left over on {entry}: its state home is gone"
        try_ = f"kill {found.pid}"
    return DeployError("E_LISTEN_IN_USE", what, f"It is {found}.", try_)
