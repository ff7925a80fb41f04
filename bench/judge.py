"""The judge as it is built, simulated: false aborts, wrong promotions, times to accept and to stop, cost.

    python -m bench.judge [--quick] [--only WORD]

Seeded; the figures are the same on every machine, apart from the cost in microseconds. What is answered is kept in
results/judge-answers.json, so a bench that was broken off goes on where it was, and parts add up to the whole. When
nothing is open it writes results/judge.json; a quick one writes results/judge-quick.json. Exits 1 when a goal is
missed.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from multiprocessing import cpu_count
from typing import Any

from bench._judge_answers import Answers, fingerprint
from bench._judge_cases import UPPER, Question, questions
from bench._judge_figures import finite
from bench._report import Goal, finish
from soc_deploy_mcp.actions.deploy import judge
from soc_deploy_mcp.actions.deploy.judge import StepInfo, Word
from tests.actions.judge.simulate import Case, World, play_many, rules, ticks
from tests.actions.judge.test_fail_closed import GATES, SUBSETS, arms_of, spoiled

SEED = 7_000_000
US_PER_METRIC = 150.0
BYTES_PER_METRIC = 4096
WORLD = "100 rps, 0.1 % errors, 1 % slow, 5-s ticks, target <0.1 %, 5/25/50/100 of 60 s, 300 s at 100 %"

Answer = Mapping[str, Any]  # {"runs", "seconds", "figures": {name: value}, "intervals": {name: [low, high]}, …}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs; nothing is kept")
    parser.add_argument("--only", default="", help="find answers to the questions whose name contains this alone")
    parser.add_argument("--fresh", action="store_true", help="find the answers anew that are known")
    chosen = parser.parse_args()
    os.nice(10)
    answers = Answers()
    found: dict[str, Answer] = {}
    for question in questions():
        known: Answer | None = (
            None if chosen.quick else answers.get(question.name, _fingerprint(question, question.runs))
        )
        wanted = chosen.only in question.name
        if wanted and (known is None or chosen.fresh):
            known = _answered(question, max(40, question.runs // 10) if chosen.quick else question.runs)
            if not chosen.quick:
                answers.put(question.name, dict(known))
        if known is not None and (wanted or not chosen.quick):
            found[question.name] = known
    return _finish(found, quick=chosen.quick, part=bool(chosen.only))


def _fingerprint(question: Question, runs: int) -> str:
    return fingerprint(question.case, runs, SEED, [name for name, _, _ in question.figures])


def _answered(question: Question, runs: int) -> Answer:
    began = time.time()
    outcomes = play_many(question.case, runs, seed=SEED, workers=min(2, cpu_count()))
    figures = {name: finite(figure.of(outcomes)) for name, figure, _ in question.figures}
    shown = ", ".join(f"{name} {'never' if value is None else f'{value:.4g}'}" for name, value in figures.items())
    print(f"{question.name} ({runs} runs, {time.time() - began:.0f} s): {shown}", flush=True)
    return {
        "fingerprint": _fingerprint(question, runs),
        "runs": runs,
        "seconds": round(time.time() - began, 1),
        "figures": figures,
        "intervals": {name: [finite(end) for end in figure.interval(outcomes)] for name, figure, _ in question.figures},
    }


def _finish(found: Mapping[str, Answer], *, quick: bool, part: bool) -> int:
    """The file for all questions, or what there is of it."""
    figures: dict[str, float | None] = {}
    goals: dict[str, Goal] = {}
    intervals: dict[str, Any] = {}
    for question in questions():
        if (answer := found.get(question.name)) is None:
            continue
        for name, _, goal in question.figures:
            key = f"{question.name}: {name}"
            figures[key], intervals[key] = answer["figures"][name], answer["intervals"][name]
            # A small run cannot bound a share from above.
            if goal is not None and not (quick and name == UPPER):
                goals[key] = goal
    still = [question.name for question in questions() if question.name not in found]
    if not still or not part:
        _no_data(figures, goals)
        _cost(figures, goals)
    conditions: dict[str, Any] = {
        "runs": {name: answer["runs"] for name, answer in found.items()},
        "intervals": intervals,
        "seed": SEED,
        "quick": quick,
        "unless said": WORLD,
        "seconds": round(sum(answer["seconds"] for answer in found.values())),
    }
    if still:
        print(f"still open: {len(still)} questions, first: {still[0]}")
    return finish("judge-quick" if quick else "judge-part" if still else "judge", figures, goals, conditions)


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
    seen = list(ticks(case, case.stages[0], 0.0, np.random.default_rng(1)))
    step = StepInfo(0.0, 60, 900)
    best = float("inf")
    for _ in range(5):
        state = judge.new_state(specs, 3600)
        began = time.process_time()
        for tick in seen:
            state, _ = judge.update(state, tick, specs)
            judge.verdict(state, specs, step, tick.at)
        best = min(best, time.process_time() - began)
    figures["cost: µs per metric and tick"] = best / len(seen) / len(specs.metrics) * 1e6
    goals["cost: µs per metric and tick"] = ("<=", US_PER_METRIC)
    sizes = [_size(m, set()) for m in state.metrics.values()]
    figures["cost: bytes of the largest metric"] = float(max(sizes))
    goals["cost: bytes of the largest metric"] = ("<=", BYTES_PER_METRIC)
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
