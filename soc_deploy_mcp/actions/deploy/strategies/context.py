"""What a strategy file needs to lay out its steps, and the rows that several of them share."""

from dataclasses import dataclass
from math import ceil

from soc_deploy_mcp.core.config import Settings
from soc_deploy_mcp.core.config.service import Migration
from soc_deploy_mcp.core.config.settings import DeploySettings
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.core.plan import (
    Bake,
    Baseline,
    Drain,
    Ensure,
    MarkStable,
    Migrate,
    Op,
    Remove,
    SmokeTest,
    Step,
    Verify,
)
from soc_deploy_mcp.core.release import Release

VERIFY_MAX_S = 900.0  # a verify window without evidence goes on so long, then it is inconclusive
ROUTER_S = 60.0  # a router write and its confirmation


@dataclass(frozen=True, slots=True)
class PlanContext:
    """Everything a strategy may look at. No observation: equal releases and settings give equal steps."""

    new: Release
    old: Release | None
    settings: Settings
    migrations: tuple[Migration, ...]  # expand and data migrations that are due, in order

    @property
    def deploy(self) -> DeploySettings:
        return self.settings.deploy

    @property
    def full(self) -> int:
        """Instances the new release needs for everybody: never fewer than serve today."""
        return max(self.new.spec.instances, self.old.spec.instances if self.old else 0)

    def required(self, percent: int) -> int:
        """Ready instances before a release may get so much traffic (R5, R6)."""
        return max(self.deploy.min_instances, ceil(percent / 100 * self.full))

    def start_limit_s(self) -> float:
        """Time to fetch, prepare and start instances, with room for the last drain."""
        spec = self.new.spec
        return spec.prepare_timeout_s * bool(spec.prepare) + spec.health.start_timeout_s + 60

    def stop_limit_s(self) -> float:
        spec = self.old.spec if self.old else self.new.spec
        return spec.drain_s + spec.grace_s + 60


def expand(ctx: PlanContext, when: str) -> tuple[Step, ...]:
    """The old release works with what these add, so they come first."""
    undo = "no undo: an expand migration stays, the old release works with it"
    return tuple(_migration(ctx, m, undo) for m in ctx.migrations if m.class_ == "expand" and m.when == when)


def data(ctx: PlanContext) -> tuple[Step, ...]:
    """Backfills, once everybody is on the new release."""
    undo = "no undo: a data migration stays, both releases work with it"
    return tuple(_migration(ctx, m, undo) for m in ctx.migrations if m.class_ == "data")


def _migration(ctx: PlanContext, migration: Migration, undo: str) -> Step:
    return Step(
        key=StepKey(f"migrate/{migration.id}"),
        row=f"Database migration ({migration.id}, {migration.class_})",
        ops=(Migrate(id=migration.id, needed=migration.class_ == "expand"),),
        phase="RUNNING" if migration.class_ == "expand" else "PROMOTING",
        deadline_s=ctx.new.spec.prepare_timeout_s + ROUTER_S,
        verification="exit code 0, recorded with its checksum",
        undo=undo,
    )


def smoke(ctx: PlanContext, *more: Op) -> Step:
    spec = ctx.new.spec
    return Step(
        key=StepKey("smoke"),
        row="Run smoke tests",
        ops=(SmokeTest(side="new"), *more),
        deadline_s=len(spec.smoke_list) * 30 + ROUTER_S,
        verification=f"{len(spec.smoke_list)} request(s) answered as expected by {ctx.new.version} at weight 0",
        undo="remove the new instances; users saw nothing",
    )


def measure(ctx: PlanContext) -> Step:
    """A row of its own: it takes seconds in which nothing changes, and no other row's time must count them."""
    old = ctx.old.version if ctx.old else "nothing"
    return Step(
        key=StepKey("measure"),
        row=f"Measure {old}",
        ops=(Baseline(),),
        deadline_s=ROUTER_S,
        verification="what the judge compares with is fixed before the first request goes to the new release",
        undo="nothing was changed",
    )


def verify(ctx: PlanContext, *more: Op, undo: str) -> Step:
    window = ctx.deploy.verify_window
    extra = sum(op.window_s for op in more if isinstance(op, Bake))
    return Step(
        key=StepKey("verify"),
        row="Verify production health" if ctx.settings.environment == "prod" else "Verify health",
        ops=(Verify(window_s=window, max_s=max(VERIFY_MAX_S, window)), *more),
        phase="PROMOTING",
        deadline_s=max(VERIFY_MAX_S, window) + extra + ctx.stop_limit_s() + ROUTER_S,
        verification="smoke list as users, health checks and the judge over the window",
        undo=undo,
    )


def retire(ctx: PlanContext, key: str, row: str, hot_s: float) -> Step:
    """The old release stays hot, then it goes: the way back is one router write until then."""
    return Step(
        key=StepKey(key),
        row=row,
        ops=(Bake(window_s=hot_s), MarkStable(), Drain(side="old"), Remove(side="old")),
        phase="BAKING",
        deadline_s=hot_s + ctx.stop_limit_s() + ROUTER_S,
        verification="health checks and the judge until the end of the window; no process of the old release left",
        undo="one router write back while the old release is hot",
    )


def start(ctx: PlanContext, key: str, row: str, instances: int) -> Step:
    return Step(
        key=StepKey(key),
        row=row,
        ops=(Ensure(side="new", instances=instances),),
        deadline_s=ctx.start_limit_s(),
        verification=f"{instances} instance(s) ready in the router, by processes that own their ports",
        undo="remove the new instances; users saw nothing",
    )
