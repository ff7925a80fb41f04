"""The effects of a rollout: one verb on the platform each, with the epoch, saying what was seen afterwards.

All are level-triggered ("make it so"), so that doing one twice does it once. The only file that writes to a Platform.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from soc_deploy_mcp.actions.deploy.world import World
from soc_deploy_mcp.core.config.service import Smoke
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.plan import Plan, Side
from soc_deploy_mcp.core.platform import InstanceState, Observation, Probe
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.engine.context import Attempt, Effect, Json

TRIES = 4  # a request without any answer is asked again; a wrong answer is an answer
ROUTER_BACK_S = 10.0  # a router that was killed is back long before; until then its silence is nobody else's fault
LOOK_S = 0.1
CONFIRM_S = 20.0
PERSIST_S = 600.0  # the way back is tried so long before a person is asked
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_IN_ROUTER = (InstanceState.READY, InstanceState.UNREADY)  # unready is also what a router that is silent just now says


class Carrier:
    """Builds the effects of one plan. `weights` are percent of the new release."""

    def __init__(self, plan: Plan, world: World) -> None:
        self.plan, self.world, self.target = plan, world, plan.target

    def release(self, side: Side) -> Release:
        if side == "new":
            return self.plan.new
        if self.plan.old is None:
            raise ValueError("a first release has no old side")
        return self.plan.old

    def weights(self, new: int) -> dict[Slug, int]:
        """Who gets which share. Without an old release and without weight nobody serves: requests are held."""
        shares = {self.plan.new.slug: new}
        if self.plan.old is not None:
            shares[self.plan.old.slug] = 100 - new
        elif new < 100:
            return {}
        return {slug: share for slug, share in shares.items() if share > 0}

    def ensure(self, side: Side, instances: int, limit_s: float) -> Effect:
        release = self.release(side)

        async def run(attempt: Attempt) -> Json:
            await self.world.platform.ensure(self.target, release, instances, attempt.epoch)
            seen = await self.world.platform.observe(self.target)
            return {"ready": seen.ready(release.slug), "restarts": seen.restarts(release.slug)}

        return Effect({"ensure": release.label, "instances": instances}, run, limit_s)

    def settle(self, seconds: float) -> Effect:
        """New instances must stay ready; one that does not is a failed start."""
        slug = self.plan.new.slug

        async def run(attempt: Attempt) -> Json:
            before = await self.heard(slug, 1)
            await asyncio.sleep(seconds)
            after = await self.heard(slug, before.ready(slug))
            if after.restarts(slug) > before.restarts(slug) or after.ready(slug) < before.ready(slug):
                raise DeployError(
                    "E_EXITED_AT_START",
                    f"{self.plan.new.version} did not stay ready for {seconds:g} s",
                    f"{after.ready(slug)} of {before.ready(slug)} instances are ready",
                    f"soc-deploy logs {self.target.name}",
                )
            return {"ready": after.ready(slug)}

        return Effect({"settle": seconds}, run, seconds + 2 * ROUTER_BACK_S + CONFIRM_S)

    async def heard(self, slug: Slug, ready: int) -> Observation:
        """What the router says of a release. One that is just starting again says nothing, and then needs a moment to
        see its instances: so many were ready, and it is waited for."""
        start, silent = self.world.clock.monotonic(), False
        while True:
            seen = await self.world.platform.observe(self.target)
            silent |= seen.weights is None
            back = seen.weights is not None and seen.ready(slug) >= ready
            if back or not silent or self.world.clock.monotonic() - start >= ROUTER_BACK_S:
                return seen
            await asyncio.sleep(LOOK_S)

    def smoke(self, side: Side, limit_s: float) -> Effect:
        release = self.release(side)

        async def run(attempt: Attempt) -> Json:
            return [await self._smoke(release, one) for one in release.spec.smoke_list]

        return Effect({"smoke": release.label}, run, limit_s)

    async def _smoke(self, release: Release, wanted: Smoke) -> dict[str, Any]:
        probe = await self.answered(release.slug, wanted.path, TRIES)
        if problem := smoke_problem(probe, wanted, release.slug):
            raise DeployError(
                "E_SMOKE_FAILED",
                f"{release.version} answered GET {wanted.path} wrongly",
                problem,
                f"soc-deploy logs {self.target.name}",
            )
        return {"path": wanted.path, "status": probe.status, "ms": round(probe.ms, 1)}

    async def answered(self, aimed: Slug | None, path: str, tries: int) -> Probe:
        """The first answer. Nobody's, when there is none after so many tries and the time a router needs to be back."""
        start = self.world.clock.monotonic()
        for number in count(1):
            probe = await self.world.platform.probe(self.target, aimed, path, fresh=True)
            over = number >= tries and self.world.clock.monotonic() - start >= ROUTER_BACK_S
            if probe.status is not None or over:
                break
            await asyncio.sleep(RETRY_S[min(number, 3) - 1])
        return probe

    def shift(self, new: int, *, hold: bool = False, dead_man: bool = False) -> Effect:
        weights = {} if hold else self.weights(new)
        unproven = new > 0 and self.plan.old is not None
        lease = self.plan.settings.deploy.lease_s if dead_man and unproven else None

        async def run(attempt: Attempt) -> Json:
            spare = await self._spare() if unproven else None
            timed = lease if spare is not None else None  # nor are users returned to a release that answers nobody
            seen = await self.world.platform.shift(
                self.target,
                weights,
                attempt.epoch,
                fallback=self.weights(0) if timed else None,
                lease_s=timed,
                spill_to=spare,
            )
            return {"weights": dict(seen.weights or {}), "applied": seen.applied}

        return Effect({"weights": {str(slug): share for slug, share in weights.items()}}, run, 60.0)

    async def _spare(self) -> Slug | None:
        """The old release, as long as it has instances that can take over what the new one cannot answer."""
        old = self.plan.old
        assert old is not None
        seen = (await self.world.platform.observe(self.target)).releases.get(old.slug)
        return old.slug if seen and any(i.state in _IN_ROUTER for i in seen.instances) else None

    def confirm(self, new: int) -> Effect:
        """The router's own word and probes as users agree. A retreat by the dead-man timer is told, not an error."""
        weights = self.weights(new)

        async def run(attempt: Attempt) -> Json:
            start, problem = self.world.clock.monotonic(), ""
            while self.world.clock.monotonic() - start < CONFIRM_S:
                seen = await self.world.platform.observe(self.target)
                if seen.dead_man.fired_at is not None and seen.weights != weights:
                    return {"agrees": False, "dead_man": True}
                problem = router_problem(seen, weights) or await self._probed(weights)
                if not problem:
                    return {"agrees": True, "probes": self.plan.settings.deploy.confirm_probes}
                await asyncio.sleep(0.2)
            raise DeployError(
                "E_WEIGHTS",
                f"the router does not show {_shares(weights)} after {CONFIRM_S:g} s",
                problem,
                "soc-deploy status",
            )

        return Effect({"confirm": {str(s): w for s, w in weights.items()}}, run, CONFIRM_S + 60)

    async def _probed(self, weights: dict[Slug, int]) -> str:
        if not weights:
            return ""
        path = self.plan.new.spec.smoke_list[0].path
        for _ in range(self.plan.settings.deploy.confirm_probes):
            probe = await self.world.platform.probe(self.target, None, path, fresh=True)
            if probe.release not in weights:
                return f"a request through the entry was answered by {probe.release or probe.error or 'nobody'}"
        return ""

    def drain(self, side: Side) -> Effect:
        release = self.release(side)

        async def run(attempt: Attempt) -> Json:
            return {"cut_off": await self.world.platform.drain(self.target, release.slug, attempt.epoch)}

        return Effect({"drain": release.label}, run, release.spec.drain_s + 60)

    def remove(self, side: Side) -> Effect:
        release = self.release(side)

        async def run(attempt: Attempt) -> Json:
            await self.world.platform.remove(self.target, release.slug, attempt.epoch)
            return {"removed": release.label}

        return Effect({"remove": release.label}, run, release.spec.grace_s + 60)

    def dead_man(self, lease_s: float | None) -> Effect:
        """Switch the timer beside the router on or off."""

        async def run(attempt: Attempt) -> Json:
            await self.world.platform.renew(self.target, attempt.epoch, lease_s)
            return {"lease_s": lease_s}

        return Effect({"dead_man": lease_s}, run, 30.0)

    def persistently(self, effect: Effect) -> Effect:
        """Try until it works, for a step of the way back. The last error is raised when the time is over. An error of
        a kind that nobody foresaw is no reason to leave users where they are."""

        async def run(attempt: Attempt) -> Json:
            start = self.world.clock.monotonic()
            for number in range(10_000):
                try:
                    return await asyncio.wait_for(effect.run(attempt), effect.timeout_s)
                except Exception as error:
                    replaced = isinstance(error, DeployError) and error.code == "E_STALE_EPOCH"
                    if replaced or self.world.clock.monotonic() - start > PERSIST_S:
                        raise
                await asyncio.sleep(RETRY_S[min(number, len(RETRY_S) - 1)])
            raise AssertionError("unreachable: the time is over long before")

        return Effect(effect.what, run, PERSIST_S + effect.timeout_s)

    def calling(self, what: str, call: Callable[[], Awaitable[Json]], limit_s: float) -> Effect:
        """An effect outside the platform: an incident file, a message."""

        async def run(attempt: Attempt) -> Json:
            return await call()

        return Effect({"do": what}, run, limit_s)


def smoke_problem(probe: Probe, wanted: Smoke, release: Slug) -> str:
    """What is wrong with an answer, or "". It must come from an instance of the release itself."""
    if probe.status is None:
        return probe.error or "no answer"
    if probe.release != release:
        return f"it was answered by {probe.release or 'nobody'}"
    if probe.status != wanted.status:
        return f"status {probe.status}, wanted {wanted.status}"
    if wanted.contains is not None and wanted.contains not in probe.body:
        return f"the body does not contain {wanted.contains!r}"
    return ""


def router_problem(seen: Observation, weights: dict[Slug, int]) -> str:
    """How the router differs from the intent, or ""."""
    if seen.weights is None:
        return "the router does not answer"
    if dict(seen.weights) != weights:
        return f"the router shows {_shares(dict(seen.weights))}"
    short = [slug for slug in weights if seen.ready(slug) == 0]
    return f"no ready instance of {', '.join(short)}" if short else ""


def _shares(weights: dict[Slug, int]) -> str:
    return ", ".join(f"{slug} {share} %" for slug, share in weights.items()) or "no weights"
