"""The judge as it is built, simulated: false aborts, wrong promotions, times to accept and to stop, cost.

    python -m bench.judge [--quick] [--only WORD]

Seeded; the figures are the same on every machine, apart from the cost in microseconds. Writes results/judge.json and
exits 1 when a goal is missed.
"""

import argparse
import json
import os
import sys
import time
from multiprocessing import cpu_count
from typing import Any

from bench._judge_cases import UPPER, Question, questions
from bench._report import Goal, finish
from soc_deploy_mcp.actions.deploy import judge
from soc_deploy_mcp.actions.deploy.judge import StepInfo, Word
from tests.actions.judge.simulate import Case, World, _ticks, play_many, rules
from tests.actions.judge.test_fail_closed import GATES, SUBSETS, arms_of, spoiled

SEED = 7_000_000
US_PER_METRIC = 150.0
BYTES_PER_METRIC = 4096


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    parser.add_argument("--only", default="", help="questions whose name contains this; writes results/judge-part.json")
    chosen = parser.parse_args()
    os.nice(10)
    started = time.time()
    figures: dict[str, float | None] = {}
    goals: dict[str, Goal] = {}
    runs: dict[str, int] = {}
    for question in questions():
        if chosen.only in question.name:
            count = max(40, question.runs // 10) if chosen.quick else question.runs
            runs[question.name] = count
            _answer(question, count, figures, goals)
            if chosen.quick:
                goals.pop(f"{question.name}: {UPPER}", None)
    if not chosen.only:
        _no_data(figures, goals)
        _cost(figures, goals)
    world = "100 rps, 0.1 % errors, 1 % slow, 5-s ticks, target <0.1 %, 5/25/50/100 of 60 s, 300 s at 100 %"
    conditions: dict[str, Any] = {
        "runs": runs,
        "seed": SEED,
        "quick": chosen.quick,
        "unless said": world,
        "seconds": round(time.time() - started),
    }
    return finish("judge-part" if chosen.only else "judge", figures, goals, conditions)


def _answer(question: Question, runs: int, figures: dict[str, float | None], goals: dict[str, Goal]) -> None:
    began = time.time()
    outcomes = play_many(question.case, runs, seed=SEED, workers=min(2, cpu_count()))
    shown = []
    for name, figure, goal in question.figures:
        key = f"{question.name}: {name}"
        figures[key] = value = figure(outcomes)
        shown.append(f"{name} {value:.4g}")
        if goal is not None:
            goals[key] = goal
    print(f"{question.name} ({runs} runs, {time.time() - began:.0f} s): {', '.join(shown)}", flush=True)


def _no_data(figures: dict[str, float | None], goals: dict[str, Goal]) -> None:
    """Every mixture of faults at every gate, in the tick in which the release would have been promoted."""
    tried = promotions = 0
    for gate in GATES.values():
        state = judge.new_state(gate.specs, 3600)
        for number in range(1, 121):
            state, _ = judge.update(state, gate.tick(float(number)), gate.specs)
        for faults in SUBSETS:
            for arms in arms_of(gate):
                after, _ = judge.update(state, spoiled(gate.tick(121.0), faults, arms), gate.specs)
                said = judge.verdict(after, gate.specs, StepInfo(0.0, 10, 900), 121.0)
                tried, promotions = tried + 1, promotions + (said.word is Word.ACCEPT)
    figures["no data: mixtures of faults at gates"], figures["no data: promotions"] = tried, promotions
    goals["no data: promotions"] = ("==", 0)


def _cost(figures: dict[str, float | None], goals: dict[str, Goal]) -> None:
    """Processor time of update and verdict, and the memory of one metric's state."""
    import numpy as np

    case = Case(World(rps=300, errors=0.005), tick=1.0)
    specs = rules(case)[0]
    ticks = _ticks(case, case.stages[0], 0.0, np.random.default_rng(1))
    step = StepInfo(0.0, 60, 900)
    best = float("inf")
    for _ in range(5):
        state = judge.new_state(specs, 3600)
        began = time.process_time()
        for tick in ticks:
            state, _ = judge.update(state, tick, specs)
            judge.verdict(state, specs, step, tick.at)
        best = min(best, time.process_time() - began)
    figures["cost: µs per metric and tick"] = best / len(ticks) / len(specs.metrics) * 1e6
    goals["cost: µs per metric and tick"] = ("<=", US_PER_METRIC)
    sizes = [_size(m, set()) for m in state.metrics.values()]
    figures["cost: bytes per metric"] = sum(sizes) / len(sizes)
    goals["cost: bytes per metric"] = ("<=", BYTES_PER_METRIC)
    figures["cost: bytes of the largest metric"] = float(max(sizes))
    figures["cost: bytes of a checkpoint"] = float(len(json.dumps(state.to_json())))


def _size(value: Any, seen: set[int]) -> int:
    """Bytes of an object with all that it holds, each once; small whole numbers and None are shared by everybody."""
    if id(value) in seen or value is None or isinstance(value, bool) or (type(value) is int and -6 < value < 257):
        return 0
    seen.add(id(value))
    parts = [getattr(value, name) for name in getattr(value, "__slots__", ())] if hasattr(value, "__slots__") else []
    if isinstance(value, tuple):
        parts = list(value)
    return sys.getsizeof(value) + sum(_size(part, seen) for part in parts)


if __name__ == "__main__":
    sys.exit(main())
