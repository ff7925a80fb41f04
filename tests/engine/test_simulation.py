"""Random programs, crashes between any two steps, frozen owners, signals at any time, clocks that are turned:
the run ends as if nothing had happened, and each effect happens once.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Record, State
from tests.engine.builders import opening
from tests.engine.simulation import Fate, Machine, Op
from tests.engine.virtual import run_virtual

SECONDS = {"act": [0.0, 0.4, 4.0], "watch": [1, 3, 6], "wait": [1.5, 40.0], "sleep": [0.0, 0.5, 20.0]}


@st.composite
def programs(draw: st.DrawFn) -> tuple[Op, ...]:
    verbs = draw(
        st.lists(st.sampled_from(["act", "act", "watch", "wait", "sleep", "emit", "take"]), min_size=1, max_size=7)
    )
    return tuple(
        Op(
            f"{n}/{verb}",
            verb,  # type: ignore[arg-type]
            draw(st.sampled_from(SECONDS.get(verb, [0.0]))),
            verb == "act" and draw(st.integers(0, 9)) == 9,
        )
        for n, verb in enumerate(verbs)
    )


moments = st.sampled_from([0.0, 0.05, 0.2, 0.45, 1.0, 1.7, 3.3, 6.0, 11.0, 25.0])
nodes = st.sampled_from(["a", "b"])
events = st.one_of(
    st.tuples(moments, st.just("kill"), nodes),
    st.tuples(moments, st.just("freeze"), st.tuples(nodes, st.sampled_from([0.3, 2.6, 9.0]))),
    st.tuples(moments, st.just("signal"), st.sampled_from(["go", "promote", "abort", "abort", "other"])),
    st.tuples(moments, st.just("turn"), st.sampled_from([-3600.0, 3600.0])),
)


fates = st.builds(Fate, st.integers(1, 45), st.sampled_from([0.0, 0.0, 0.5, 2.6, 7.0]))


async def inflict(machine: Machine, run: Any, timeline: list[Any]) -> None:
    began = machine.loop.time()
    for at, what, how in sorted(timeline, key=lambda e: e[0]):
        await asyncio.sleep(max(0.0, began + at - machine.loop.time()))
        match what:
            case "kill":
                machine.nodes[how][1].die()
            case "freeze":
                machine.interruptions += 1
                machine._start(machine.nodes[how[0]][1].freeze(how[1]))
            case "signal":
                with suppress(DeployError):  # the run is over
                    await machine.cli.runner.signal(run, how, None, "uid:1")
            case "turn":
                machine.interruptions += 1
                machine.clock.turn(how)


def check(machine: Machine, state: State, rows: list[Record]) -> None:
    """Against the model: the program run once, from its start, with what was said to it and when it was stopped."""
    world = machine.world
    assert world.after_record == [], "an effect was called again after its result was recorded"
    assert all(n == 1 for n in world.applied.values())
    assert all(n <= 1 + machine.interruptions for n in world.calls.values()), world.calls
    observed = [r.key for r in rows if r.kind == "observed"]
    assert len(set(observed)) == len(observed), "a step was recorded twice"
    emitted = [r.key for r in rows if r.kind in ("emitted", "finished") and r.key != "evidence"]
    assert len(set(emitted)) == len(emitted), "a fact was written twice"
    behind = [r for r in rows if r.kind != "signal"]
    assert [r.epoch for r in behind] == sorted(r.epoch for r in behind), "an older owner wrote after a newer one"
    abort = next((r.seq for r in rows if r.kind == "signal" and r.payload["name"] == "abort"), None)
    forward = [o for o in machine.ops if o.verb != "emit"]
    if state == State.FAILED_NO_CHANGE:
        assert abort is not None
        assert world.calls == {}
        return
    failing = next((n for n, o in enumerate(forward) if o.fails and o.key in observed), None)
    done = [o for o in forward if o.key in observed]
    if state == State.SUCCEEDED:
        assert observed == [o.key for o in forward]
        assert set(world.state) == {o.key for o in forward if o.verb == "act"}
    else:
        assert state == State.ROLLED_BACK
        assert failing is not None or abort is not None
        assert done == forward[: len(done)]
        cut = failing if failing is not None else len(done)
        undone = [f"back/{o.key}" for o in reversed(forward[: cut + 1]) if o.verb == "act"]
        assert observed == [o.key for o in done] + undone
        assert set(undone) <= set(world.state)
    if abort is not None:
        for op in done:
            last = max(r.seq for r in rows if r.key == op.key and r.kind in ("intent", "observed"))
            begun = max((r.seq for r in rows if r.key == op.key and r.kind == "intent"), default=0)
            assert begun < abort or op.verb == "take", f"{op.key} was begun after the abort"
            assert last < abort or op.verb in ("act", "watch", "take", "sleep"), f"{op.key} went on after the abort"


async def play(path: Path, ops: tuple[Op, ...], fates: list[Fate], timeline: list[Any], restart_s: float) -> None:
    async with Machine(path, ops, list(fates), restart_s) as machine:
        machine.cli.programs(machine.walk, machine.walk)  # known here, carried by the others
        run, _ = await machine.cli.runner.submit(opening())
        faults = asyncio.ensure_future(inflict(machine, run.id, timeline))
        state = await machine.over(run.id)
        await faults
        check(machine, state, await machine.cli.journal.load(run.id))
        assert await machine.cli.journal.verify(run.id) is None


@given(
    ops=programs(),
    fates=st.lists(fates, max_size=4),
    timeline=st.lists(events, max_size=5),
    restart_s=st.sampled_from([0.1, 8.0]),
)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_run_ends_as_if_nothing_had_happened(
    tmp_path_factory: pytest.TempPathFactory, ops: Any, fates: list[Fate], timeline: list[Any], restart_s: float
) -> None:
    run_virtual(play(tmp_path_factory.mktemp("sim") / "journal.db", ops, fates, timeline, restart_s))
