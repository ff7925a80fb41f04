"""Rolling: instances are replaced in batches; both sides stay within surge and unavailability at every moment."""

from collections.abc import Iterator
from math import floor

from soc_deploy_mcp.actions.deploy.strategies.context import (
    ROUTER_S,
    PlanContext,
    data,
    expand,
    measure,
    smoke,
    start,
    verify,
)
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.core.plan import (
    Bake,
    Confirm,
    Drain,
    Ensure,
    Judge,
    MarkStable,
    Op,
    Remove,
    Settle,
    Shift,
    Step,
)


def steps(ctx: PlanContext) -> tuple[Step, ...]:
    batches = tuple(sizes(ctx.full, ctx.deploy.rolling.max_surge, ctx.deploy.rolling.max_unavailable))
    back = "the batches in reverse: an old instance first, ready and routed, then a new one out"
    return (
        *expand(ctx, "before_start"),
        start(ctx, "rolling/provision", f"Provision {ctx.new.version}", 0),
        *expand(ctx, "before_switch"),
        measure(ctx),
        *_replacements(ctx, batches, back),
        verify(ctx, Bake(window_s=ctx.deploy.bake), MarkStable(), Remove(side="old"), undo=back),
        *data(ctx),
    )


def sizes(instances: int, surge: int, unavailable: int) -> Iterator[int]:
    """How many are replaced at a time: as many as may be surplus, or, without surplus, as may be missing."""
    size = surge or unavailable
    while instances > 0:
        yield min(size, instances)
        instances -= size


def share(new: int, total: int) -> int:
    """Weight of the new side when `new` of `total` instances are its: rounded down, never ahead of its capacity."""
    return 100 if new >= total else floor(100 * new / total)


def _replacements(ctx: PlanContext, batches: tuple[int, ...], back: str) -> Iterator[Step]:
    total, done = ctx.full, 0
    for index, size in enumerate(batches):
        first = done + 1
        done += size
        yield Step(
            key=StepKey(f"rolling/{done}"),
            row=f"Replace instance {first}/{total}" if size == 1 else f"Replace instances {first}–{done}/{total}",
            ops=_batch(ctx, done, size, first=index == 0),
            phase="RUNNING" if done < total else "PROMOTING",
            deadline_s=ctx.start_limit_s() + ctx.stop_limit_s() + ctx.deploy.canary.max + 3 * ROUTER_S,
            verification="new instances ready and settled; the judge sees no regression against the old ones",
            undo=back,
        )


def _batch(ctx: PlanContext, done: int, size: int, *, first: bool) -> tuple[Op, ...]:
    total, rolling = ctx.full, ctx.deploy.rolling
    percent = share(done, total)
    shrink: tuple[Op, ...] = (Ensure(side="old", instances=total - done),)
    grow: tuple[Op, ...] = (Ensure(side="new", instances=done), Settle(seconds=rolling.min_ready_s))
    if first:
        grow = (*grow, *smoke(ctx).ops)
    route: tuple[Op, ...] = (Shift(new=percent), Confirm(new=percent))
    if percent == 100:
        # The old side has no weight any more; Verify takes over where no old instance is left to compare with.
        return (*grow, *route, Drain(side="old"), *shrink)
    # Only the first batch waits for the judge's acceptance, and only where `pause_after_first` says so; the others go
    # on when their instances are settled, requests were seen, and nothing is wrong.
    wait = first and rolling.pause_after_first
    judged: tuple[Op, ...] = (Judge(new=percent, min_s=rolling.min_ready_s, max_s=ctx.deploy.canary.max, accept=wait),)
    if rolling.max_surge == 0:
        return (*shrink, *grow, *route, *judged)
    return (*grow, *route, *judged, *shrink)
