"""Seeded traffic through the judge as it is built: whole rollouts, step after step, word after word.

numpy draws the counts; every decision is the package's own code.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from multiprocessing import get_context
from typing import Any

import numpy as np

from soc_deploy_mcp.actions.deploy import judge
from soc_deploy_mcp.actions.deploy.judge import ArmTick, Count, Measured, Specs, Stage, StepInfo, Tick, Word
from soc_deploy_mcp.actions.deploy.judge.update import after
from soc_deploy_mcp.core.config.settings import HealthChecks, JudgeSettings, Ratio

STOPS = {Word.REJECT, Word.ABSOLUTE, Word.CRASH, Word.BUDGET, Word.HOLD}
HOUR = 3600.0


def steps(*weights: int, min_s: float = 60, max_s: float = 900, bake_s: float = 300) -> tuple[Stage, ...]:
    """A canary: the last step, at 100 %, has no old release beside it and lasts `bake_s` at least."""
    return tuple(Stage(w, w < 100, bake_s if w == 100 else min_s, max_s) for w in weights)


DEFAULT = steps(5, 25, 50, 100)


@dataclass(frozen=True)
class World:
    """The truth that the judge does not know. Rates are shares of requests."""

    rps: float = 100.0
    errors: float = 0.001  # of the old release
    slow: float = 0.01
    ratio: float = 1.0  # new over old, of both metrics
    errors_new: float | None = None  # instead of the ratio
    slow_new: float | None = None
    onset_s: float = 0.0  # until then the new release is as the old one
    outage: tuple[float, float, float] | None = None  # from, to, rate of errors on both
    burst: int = 1  # errors come in bursts of so many
    burst_slow: int = 1
    probes_see: bool = True  # False: only users meet what is wrong with the new release


@dataclass(frozen=True)
class Case:
    """A world, a rollout through it and what was measured before."""

    world: World
    stages: tuple[Stage, ...] = DEFAULT
    tick: float = 5.0
    target: str = "<0.1%"
    k: tuple[tuple[str, float], ...] = (("errors", 1.0), ("latency", 1.0), ("latency_slo", 1.0))
    probes: float = 0.0  # a second and arm; 0: none
    history: bool = True
    until_s: float = 1e9  # stop there, whatever the word
    go_on: bool = False  # a step that is accepted goes on to its end: for error rates over time
    settings: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Outcome:
    word: Word  # the last one
    reason: str
    metric: str
    at_s: float
    stage: int
    bad: int  # users' failed requests at the new release
    excess: float  # of them above the old release's rate
    accepted: tuple[float, ...] = ()  # when each stage was accepted
    said: frozenset[Word] = field(default_factory=frozenset)


@lru_cache(maxsize=512)
def rules(case: Case) -> tuple[Specs, ...]:
    settings, targets = settings_of(case)
    known = measured(case)
    return tuple(
        judge.specs(settings, targets, known, case.stages, stage, synthetic=case.probes > 0) for stage in case.stages
    )


@lru_cache(maxsize=512)
def settings_of(case: Case) -> tuple[JudgeSettings, HealthChecks]:
    changes: dict[str, Any] = {"synthetic_rate": case.probes or 20, **dict(case.settings)}
    settings = JudgeSettings().model_copy(update={"tick": case.tick, **changes})
    return settings, HealthChecks(error_rate=Ratio(target=case.target))


@lru_cache(maxsize=512)
def measured(case: Case) -> Measured:
    """An hour of the old release, as it is expected to be counted; of the probes ten seconds."""
    w, n = case.world, round(case.world.rps * HOUR)
    before = {
        "errors": Count(n, round(n * w.errors)),
        "latency": Count(n, round(n * w.slow)),
        "latency_slo": Count(n, round(n * w.slow / 5)),
    }
    bounds = {"latency": 50.0, "latency_slo": 200.0}
    if case.probes:
        seen = round(case.probes * 10)
        before["synthetic_errors"] = Count(seen, round(seen * w.errors))
        before["synthetic_latency"] = Count(seen, round(seen * w.slow))
        bounds["synthetic_latency"] = 50.0
    return Measured(
        rps=w.rps,
        before={name: count for name, count in before.items() if count.n},
        bounds_ms=bounds,
        k=dict(case.k),
        requests_30d=w.rps * HOUR * 24 * 30 if case.history else None,
    )


def play(case: Case, seed: int) -> Outcome:
    """One rollout: until a word ends it, or every stage is accepted."""
    rng = np.random.default_rng([seed, 20260131])
    all_rules = rules(case)
    planned = judge.planned_ticks(settings_of(case)[0], case.stages)
    state = judge.new_state(all_rules[0], planned)
    now, bad, excess = 0.0, 0, 0.0
    times: list[float] = []
    said: set[Word] = set()
    for index, (stage, specs) in enumerate(zip(case.stages, all_rules, strict=True)):
        if index:
            state = judge.on_new_step(state, specs)
        step = StepInfo(now, stage.min_s, stage.max_s)
        for tick in ticks(case, stage, now, rng):
            now = tick.at
            count = tick.canary.counts["errors"]
            bad, excess = bad + count.x, excess + count.x - count.n * case.world.errors
            state = after(state, tick, specs)
            word = judge.verdict(state, specs, step, now)
            said.add(word.word)
            over = now >= case.until_s or word.word in STOPS or word.failure
            if over and not (case.go_on and word.word is Word.HOLD and now < case.until_s):
                return Outcome(
                    word.word, word.reason, word.metric, now, index, bad, excess, tuple(times), frozenset(said)
                )
            if word.word is Word.ACCEPT and not case.go_on:
                break
        times.append(now)
    return Outcome(word.word, word.reason, word.metric, now, index, bad, excess, tuple(times), frozenset(said))


def ticks(case: Case, stage: Stage, start: float, rng: np.random.Generator) -> Iterator[Tick]:
    """All that a stage could bring is drawn at once; what is not looked at costs no more."""
    w, share = case.world, stage.weight / 100
    at = start + case.tick * np.arange(1, round(stage.max_s / case.tick) + 1)
    new_errors = w.errors * w.ratio if w.errors_new is None else w.errors_new
    new_slow = w.slow * w.ratio if w.slow_new is None else w.slow_new
    late = at > w.onset_s
    errors = np.where(late, new_errors, w.errors), np.full(len(at), w.errors)
    slow = np.where(late, new_slow, w.slow), np.full(len(at), w.slow)
    if w.outage:
        out = (at > w.outage[0]) & (at <= w.outage[1])
        errors = tuple(np.where(out, np.maximum(rate, w.outage[2]), rate) for rate in errors)  # type: ignore[assignment]
    drawn = [_users(case, w.rps * part, errors[i], slow[i], rng) for i, part in enumerate((share, 1 - share))]
    if case.probes:
        for i, meets in enumerate((0, 1) if w.probes_see else (1, 1)):
            drawn[i] |= _probes(case, errors[meets], slow[meets], rng)
    new, old = (_arms(one) for one in drawn)
    for moment, canary, baseline in zip(at.tolist(), new, old, strict=True):
        yield Tick(moment, canary, baseline if stage.concurrent else None)


Drawn = dict[str, tuple[np.ndarray, np.ndarray]]  # by metric: requests and bad ones, tick by tick


def _arms(drawn: Drawn) -> Iterator[ArmTick]:
    columns = [(name, n.tolist(), x.tolist()) for name, (n, x) in drawn.items()]
    for i in range(len(columns[0][1])):
        yield ArmTick({name: Count(n[i], x[i]) for name, n, x in columns})


def _users(case: Case, rps: float, errors: np.ndarray, slow: np.ndarray, rng: np.random.Generator) -> Drawn:
    n = rng.poisson(rps * case.tick, len(errors))
    bad = _bursts(n, errors, case.world.burst, rng)
    late = _bursts(n, slow, case.world.burst_slow, rng)
    very = rng.binomial(late, np.where(slow > 0.5, 1.0, 0.2))
    return {"errors": (n, bad), "latency": (n, late), "latency_slo": (n, very)}


def _probes(case: Case, errors: np.ndarray, slow: np.ndarray, rng: np.random.Generator) -> Drawn:
    n = np.full(len(errors), round(case.probes * case.tick))
    bad, late = rng.binomial(n, errors), rng.binomial(n, slow)
    return {"synthetic_errors": (n, bad), "synthetic_latency": (n, late)}


def _bursts(n: np.ndarray, rate: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    if size == 1:
        return rng.binomial(n, rate)
    return np.minimum(n, size * rng.poisson(n * rate / size))


def play_many(case: Case, runs: int, *, seed: int = 0, workers: int = 1) -> list[Outcome]:
    """`runs` rollouts with seeds seed, seed+1, …; the same ones whatever the number of workers."""
    jobs = [(case, s) for s in range(seed, seed + runs)]
    if workers == 1:
        return [play(*job) for job in jobs]
    with get_context("fork").Pool(workers) as pool:
        return pool.starmap(play, jobs, chunksize=max(1, runs // (workers * 8)))


def words(outcomes: Sequence[Outcome]) -> Counter[Word]:
    return Counter(o.word for o in outcomes)


def at_weight(case: Case, weight: int, duration_s: float = HOUR) -> Case:
    """The same world at one weight for a fixed time, every tick looked at, nothing promoted."""
    stage = Stage(weight, weight < 100, duration_s, duration_s)
    return replace(case, stages=(stage,), until_s=duration_s)
