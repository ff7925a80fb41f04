"""Unknown is not good: whatever is wrong with the data, alone or together, nothing is promoted."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, combinations
from math import inf, nan
from typing import Any

import pytest

from soc_deploy_mcp.actions.deploy import judge
from soc_deploy_mcp.actions.deploy.judge import ArmTick, Count, Specs, Stage, Tick, Word
from soc_deploy_mcp.core.config.settings import CustomCheck
from tests.actions.judge.build import EVERYBODY, MEASURED, PROBED, STEP, arm, rules

ADVANCE = sys.modules["soc_deploy_mcp.actions.deploy.judge.advance"]
DECIDE = sys.modules["soc_deploy_mcp.actions.deploy.judge.decide"]

Fault = Callable[[ArmTick], ArmTick]


def each(change: Callable[[Count], Count]) -> Fault:
    return lambda a: replace(a, counts={name: change(count) for name, count in a.counts.items()})


FAULTS: dict[str, Fault] = {
    "nan": each(lambda c: Count(c.n, nan)),  # type: ignore[arg-type]
    "inf": each(lambda c: Count(inf, c.x)),  # type: ignore[arg-type]
    "missing": lambda a: replace(a, counts={}),
    "stale": lambda a: replace(a, age_s=9.0),
    "reset": each(lambda c: Count(c.n, c.x - 1000)),
    "source_down": lambda a: replace(a, unusable="source_down"),
    "silent": each(lambda c: Count(0, 0)),
}
NAMES = (*FAULTS, "duplicate", "zero_traffic")
SUBSETS = list(chain.from_iterable(combinations(NAMES, size) for size in range(1, len(NAMES) + 1)))


def spoiled(tick: Tick, faults: tuple[str, ...], arms: str) -> Tick:
    """The tick with all of these faults on the given arms; no traffic is no traffic at all."""
    canary, baseline = tick.canary, tick.baseline
    for name in faults:
        fault = FAULTS["silent"] if name == "zero_traffic" else FAULTS.get(name)
        if fault is None:
            continue
        if "canary" in arms or name == "zero_traffic":
            canary = fault(canary)
        if baseline is not None and ("baseline" in arms or name == "zero_traffic"):
            baseline = fault(baseline)
    return replace(tick, canary=canary, baseline=baseline, at=0.5 if "duplicate" in faults else tick.at)


class Gate:
    """A step in which everything is healthy, and its least time to acceptance."""

    def __init__(self, name: str, specs: Specs, canary: ArmTick, baseline: ArmTick | None) -> None:
        self.name, self.specs, self.canary, self.baseline = name, specs, canary, baseline

    def tick(self, at: float) -> Tick:
        return Tick(at, self.canary, self.baseline)

    def __repr__(self) -> str:
        return self.name


def gates() -> Iterator[Gate]:
    yield Gate("canary", rules(), arm(100, slow=1), arm(900, slow=9))
    yield Gate("everybody", rules(stage=EVERYBODY), arm(1000, slow=10), None)
    half = Stage(50, True, 10, 900)
    yield Gate("half", rules(stage=half, stages=(half,)), arm(500, slow=5), arm(500, slow=5))
    own = CustomCheck(name="own", bad="b", total="t", required=True)
    named = replace(MEASURED, before={**MEASURED.before, "own": Count(100_000, 0)})
    yield Gate(
        "custom",
        rules(measured=named, checks=(own,)),
        arm(100, own=Count(100, 0)),
        arm(900, own=Count(900, 0)),
    )
    probes = {"synthetic_errors": Count(50, 0), "synthetic_latency": Count(50, 0)}
    probed = rules(measured=PROBED, synthetic=True)
    yield Gate("probes", probed, arm(0, **probes), arm(0, **probes))
    first = Stage(100, False, 10, 900)
    alone = rules(measured=PROBED, synthetic=True, stage=first, stages=(first,))
    yield Gate("probes alone", alone, arm(0, **probes), None)


GATES = {gate.name: gate for gate in gates()}


def words(gate: Gate, ticks: list[Tick]) -> list[Word]:
    state = judge.new_state(gate.specs, 3600)
    said = []
    for number, tick in enumerate(ticks, 1):
        state, _ = judge.update(state, tick, gate.specs)
        said.append(judge.verdict(state, gate.specs, STEP, float(number)).word)
    return said


def promoted(gate: Gate, faults: tuple[str, ...], arms: str) -> bool:
    """Does any tick with these faults promote: all of them from the start, or the one at the gate?"""
    always = words(gate, [spoiled(gate.tick(float(t)), faults, arms) for t in range(1, 61)])
    good = [gate.tick(float(t)) for t in range(1, 121)]
    at_gate = words(gate, [*good, spoiled(gate.tick(121.0), faults, arms)])
    assert at_gate[119] is Word.ACCEPT
    return Word.ACCEPT in always or at_gate[-1] is Word.ACCEPT


def arms_of(gate: Gate) -> tuple[str, ...]:
    return ("canary", "baseline", "canary and baseline") if gate.baseline is not None else ("canary",)


@pytest.mark.parametrize("name", GATES)
def test_no_fault_and_no_mixture_of_faults_promotes(name: str) -> None:
    gate = GATES[name]
    state = judge.new_state(gate.specs, 3600)
    for number in range(1, 121):
        state, _ = judge.update(state, gate.tick(float(number)), gate.specs)
    assert judge.verdict(state, gate.specs, STEP, 120.0).word is Word.ACCEPT
    for faults in SUBSETS:
        for arms in arms_of(gate):
            last = spoiled(gate.tick(121.0), faults, arms)
            after, _ = judge.update(state, last, gate.specs)
            assert judge.verdict(after, gate.specs, STEP, 121.0).word is not Word.ACCEPT, (faults, arms)


@pytest.mark.parametrize("name", GATES)
def test_no_fault_that_lasts_promotes(name: str) -> None:
    gate = GATES[name]
    for faults in SUBSETS:
        for arms in arms_of(gate):
            heard = words(gate, [spoiled(gate.tick(float(t)), faults, arms) for t in range(1, 26)])
            assert Word.ACCEPT not in heard, (faults, arms)


@pytest.mark.parametrize("faults", [(name,) for name in NAMES])
@pytest.mark.parametrize("name", GATES)
def test_each_fault_alone_promotes_neither_for_a_minute_nor_at_the_gate(name: str, faults: tuple[str, ...]) -> None:
    for arms in arms_of(GATES[name]):
        assert not promoted(GATES[name], faults, arms)


def blind(*_: Any) -> str:
    return ""


def without(rule: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    return tuple(r for r in DECIDE._RULES if r is not rule)


MUTANTS: dict[str, tuple[Any, str, Any, tuple[str, ...]]] = {
    "usable: anything": (
        ADVANCE,
        "problem",
        lambda arm, name, age: "missing" if name not in arm.counts else "",
        ("stale",),
    ),
    "usable: any number": (
        ADVANCE,
        "problem",
        lambda arm, name, age: arm.unusable or ("missing" if name not in arm.counts else ""),
        ("stale",),
    ),
    "no rule for missing data": (DECIDE, "_RULES", without(DECIDE._no_data), ("source_down",)),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_matrix_sees_a_judge_that_is_not_closed(monkeypatch: pytest.MonkeyPatch, mutant: str) -> None:
    module, name, replacement, faults = MUTANTS[mutant]
    monkeypatch.setattr(module, name, replacement)
    if mutant == "no rule for missing data":
        state = judge.new_state(GATES["canary"].specs, 3600)
        for number in range(1, 121):
            state, _ = judge.update(state, GATES["canary"].tick(float(number)), GATES["canary"].specs)
        assert judge.verdict(state, GATES["canary"].specs, STEP, 200.0).word is Word.ACCEPT
    else:
        assert promoted(GATES["canary"], faults, "canary and baseline")
