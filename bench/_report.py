"""How a bench ends: a table for people, a file for the README, an exit code for make."""

import json
import os
import platform
from collections.abc import Collection, Mapping
from pathlib import Path

RESULTS = Path(__file__).parent / "results"

Goal = tuple[str, float]  # ("<=" or ">=" or "==", bound)

_HOLDS = {
    "<=": lambda value, bound: value <= bound,
    ">=": lambda value, bound: value >= bound,
    "==": lambda value, bound: value == bound,
}
_MARKS = {True: "met", False: "MISSED", None: "not run"}


def finish(
    name: str,
    figures: Mapping[str, float | None],
    goals: Mapping[str, Goal],
    conditions: Mapping[str, object],
    *,
    not_run: Collection[str] = (),
) -> int:
    """Prints the figures and their goals, writes `results/<name>.json`, and gives the exit code.

    `figures` may hold more than has a goal; None is a figure that could not be measured and meets no goal, unless it
    is in `not_run`: then what it needs (a rival's program) is not on this machine, and its goal is neither met nor
    missed (null). The file: {"name", "figures": {figure: value}, "goals": {figure: [op, bound, met]}, "conditions"}.
    0: no goal is missed.
    """
    if missing := sorted(goals.keys() - figures.keys()):
        raise ValueError(f"goals without a figure: {', '.join(missing)}")
    met = {f: None if f in not_run else _met(figures[f], goal) for f, goal in goals.items()}
    _print(name, figures, goals, met)
    RESULTS.mkdir(parents=True, exist_ok=True)
    body = {
        "name": name,
        "figures": dict(figures),
        "goals": {figure: [op, bound, met[figure]] for figure, (op, bound) in goals.items()},
        "conditions": {**machine(), **conditions},
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n")
    return 1 if False in met.values() else 0


def machine() -> dict[str, object]:
    """What the figures depend on."""
    return {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()}


def _met(value: float | None, goal: Goal) -> bool:
    op, bound = goal
    return value is not None and _HOLDS[op](value, bound)


def _print(
    name: str, figures: Mapping[str, float | None], goals: Mapping[str, Goal], met: Mapping[str, bool | None]
) -> None:
    width = max(map(len, figures), default=0)
    print(f"\n{name}")
    for figure, value in figures.items():
        shown = "—" if value is None else f"{value:.4g}"
        goal = f"{goals[figure][0]} {goals[figure][1]:g}" if figure in goals else ""
        mark = _MARKS[met[figure]] if figure in goals else ""
        print(f"  {figure:<{width}}  {shown:>10}  {goal:>10}  {mark}".rstrip())
    missed = [figure for figure, ok in met.items() if ok is False]
    not_run = sum(ok is None for ok in met.values())
    print(
        f"{len(goals)} goals, {len(missed)} missed"
        + (f": {'; '.join(missed)}" if missed else "")
        + (f", {not_run} not run" if not_run else "")
    )
