"""Small worlds for the judge: rules, ticks, and how to play them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from soc_deploy_mcp.actions.deploy import judge
from soc_deploy_mcp.actions.deploy.judge import (
    ArmTick,
    Count,
    JudgeState,
    Measured,
    Specs,
    Stage,
    StepInfo,
    Tick,
    Verdict,
    Word,
)
from soc_deploy_mcp.core.config.settings import HealthChecks, JudgeSettings

CANARY = Stage(weight=10, concurrent=True, min_s=10, max_s=900)
EVERYBODY = Stage(weight=100, concurrent=False, min_s=10, max_s=900)
STEP = StepInfo(started_at=0.0, min_s=10, max_s=900)
MEASURED = Measured(
    rps=1000.0,
    before={"errors": Count(100_000, 0), "latency": Count(100_000, 1000), "latency_slo": Count(100_000, 100)},
    bounds_ms={"latency": 50.0, "latency_slo": 200.0},
    k={"errors": 1.0, "latency": 1.0, "latency_slo": 1.0},
    requests_30d=1e9,
)
PROBED = replace(
    MEASURED,
    rps=0.2,
    before={"synthetic_errors": Count(500, 0), "synthetic_latency": Count(500, 5)},
    bounds_ms={**MEASURED.bounds_ms, "synthetic_latency": 50.0},
    requests_30d=None,
)


def rules(
    *,
    stage: Stage = CANARY,
    stages: Iterable[Stage] = (CANARY, EVERYBODY),
    measured: Measured = MEASURED,
    synthetic: bool = False,
    **settings: Any,
) -> Specs:
    chosen = JudgeSettings(tick="1s").model_copy(update={"synthetic_rate": 50.0, **settings})
    return judge.specs(chosen, HealthChecks(), measured, tuple(stages), stage, synthetic=synthetic)


def arm(n: int = 100, errors: int = 0, slow: int = 0, **more: Count) -> ArmTick:
    counts = {"errors": Count(n, errors), "latency": Count(n, slow), "latency_slo": Count(n, slow)}
    return ArmTick({**counts, **more})


def tick(at: float, canary: ArmTick | None = None, baseline: ArmTick | None = None, **more: Any) -> Tick:
    """A healthy second at 1000 requests a second and weight 10 %."""
    return Tick(at, canary or arm(100, slow=1), baseline or arm(900, slow=9), **more)


def alone(at: float, canary: ArmTick | None = None, **more: Any) -> Tick:
    return Tick(at, canary or arm(1000, slow=10), None, **more)


def play(
    ticks: Iterable[Tick], specs: Specs | None = None, *, step: StepInfo = STEP, state: JudgeState | None = None
) -> tuple[JudgeState, list[Verdict]]:
    """The state after the ticks and the verdict after each."""
    specs = specs or rules()
    state = state or judge.new_state(specs, 3600)
    said = []
    for one in ticks:
        state, _ = judge.update(state, one, specs)
        said.append(judge.verdict(state, specs, step, one.at))
    return state, said


def last(ticks: Iterable[Tick], specs: Specs | None = None, **more: Any) -> Verdict:
    return play(ticks, specs, **more)[1][-1]


def words(said: Iterable[Verdict]) -> set[Word]:
    return {v.word for v in said}


def healthy(seconds: int, start: int = 1) -> list[Tick]:
    return [tick(float(at)) for at in range(start, start + seconds)]


def without(counts: Mapping[str, Count], name: str) -> dict[str, Count]:
    return {key: count for key, count in counts.items() if key != name}
