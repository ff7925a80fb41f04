"""The nouns of the judge: the rules it goes by, the words it says and the figures behind them."""

from dataclasses import dataclass
from enum import StrEnum
from math import inf, isfinite
from typing import Any, Literal, NamedTuple

from soc_deploy_mcp.actions.deploy.judge.ticks import Count

Kind = Literal["ratio", "latency", "gauge"]  # bad of all requests; slow of all requests; a level compared in blocks


class Word(StrEnum):
    ACCEPT = "ACCEPT"  # every required metric is shown to be good enough for more traffic
    REJECT = "REJECT"  # worse than the old release, proven
    ABSOLUTE = "ABSOLUTE"  # bad by itself
    CRASH = "CRASH"
    BUDGET = "BUDGET"  # has cost more failed requests than a rollout may
    ENV_UNHEALTHY = "ENV_UNHEALTHY"  # both releases suffer: not this release's fault as far as can be seen
    NO_DATA = "NO_DATA"
    HOLD = "HOLD"  # the time is over and nothing is proven
    CONTINUE = "CONTINUE"


LATCHED = frozenset({Word.REJECT, Word.ABSOLUTE, Word.CRASH})  # later good ticks do not take them back
FAILURES = LATCHED | {Word.BUDGET}


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """How one metric is judged. Rates are shares of requests, 0..1."""

    name: str
    kind: Kind = "ratio"
    synthetic: bool = False  # counted at our own probes
    required: bool = False  # must be accepted before a step forward
    critical: bool = False  # gauge: may stop the rollout; others only inform
    relative_weight: float = 0.0  # share of alpha of the comparison with the old release; 0: none is made
    guard_weight: float = 0.0  # the same of the absolute test
    gauge_weight: float = 0.0
    r0: float = 1.25  # REJECT proves a ratio above this
    r_bad: float = 2.0  # ACCEPT rules out a ratio of this
    target: float | None = None  # the health target, for people
    floor: float = 0.0  # REJECT also proves a rate above this; 0: no such demand
    abort_above: float = 1.0  # the guard proves a rate above this
    theta_ok: float | None = None  # ACCEPT: below this rate a release is good enough whatever the ratio
    base_rate: float | None = None  # of the old release, before the rollout
    base_upper: float | None = None  # its upper 95 % bound
    k_reject: float = 1.0  # events come in bursts of about k
    k_accept: float = 1.0
    tolerance: float = 0.25  # gauge: this much above the old release is still the same
    bound_ms: float | None = None  # latency: slower than this counts


@dataclass(frozen=True, slots=True)
class Specs:
    """The rules of one step. What REJECT goes by is the same in all steps of a rollout."""

    metrics: tuple[MetricSpec, ...]
    weight: float  # share of requests that the new release gets, 0 < w <= 1
    concurrent: bool  # the old release takes requests too
    alpha: float = 0.01
    beta: float = 0.05
    tick_s: float = 1.0
    rps: float | None = None  # users' requests a second, all together; None: unknown
    cost_cap: float | None = None  # failed requests that the rollout may cost; None: no budget rule
    budget: float | None = None  # failed requests the error budget of 30 days holds; None: no history
    leak_window_s: float = 60.0  # how long memory must grow before it is called a leak

    @property
    def max_age_s(self) -> float:
        return 2 * self.tick_s

    @property
    def users(self) -> MetricSpec | None:
        """The metric that counts users' requests."""
        return next((m for m in self.metrics if m.kind == "ratio" and not m.synthetic), None)

    @property
    def probed(self) -> bool:
        return any(m.synthetic for m in self.metrics)


@dataclass(frozen=True, slots=True)
class StepInfo:
    started_at: float
    min_s: float
    max_s: float
    min_samples: int = 100  # requests of each release in the step, for each required metric


class Reading(NamedTuple):
    """One metric after a tick. `ln_*` are natural logarithms of e-values; each has its threshold beside it."""

    metric: str
    kind: Kind
    synthetic: bool
    required: bool
    canary: Count  # of this step
    baseline: Count | None  # None: no old release to compare with
    canary_run: Count  # of the whole rollout
    baseline_run: Count | None
    ln_worse: float  # worse than the old release
    ln_worse_needed: float
    ln_guard: float  # bad by itself
    ln_guard_needed: float
    ln_safe: float  # good enough for more traffic
    ln_safe_needed: float
    accepted: bool
    below_floor: bool = False  # worse, and too little to matter
    baseline_sick: bool = False
    bound_ms: float | None = None
    target: float | None = None

    @property
    def ratio(self) -> float | None:
        """Rate of the new release over the old one's in this step; None: not defined."""
        if self.baseline is None or not (self.canary.n and self.baseline.x):
            return None
        return (self.canary.x / self.canary.n) / (self.baseline.x / self.baseline.n)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; infinite is null."""
        return {name: _plain(value) for name, value in (self._asdict() | {"ratio": self.ratio}).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Count):
        return list(value)
    return None if isinstance(value, float) and not isfinite(value) else value


@dataclass(frozen=True, slots=True)
class Cost:
    """Failed users' requests above what the old release would have failed."""

    excess: float
    noise: float  # one standard deviation of the excess by chance
    cap: float | None
    budget: float | None

    @property
    def budget_share(self) -> float | None:
        return max(self.excess, 0.0) / self.budget if self.budget else None


@dataclass(frozen=True, slots=True)
class Verdict:
    word: Word
    reason: str = ""  # a short code: canary_silent, no_traffic, not_accepted, …
    metric: str = ""
    since: float | None = None  # NO_DATA: when the data went missing
    readings: tuple[Reading, ...] = ()
    cost: Cost = Cost(0.0, 0.0, None, None)

    @property
    def failure(self) -> bool:
        """The release is at fault, at once. NO_DATA becomes one after the caller's grace."""
        return self.word in FAILURES or self.reason == "canary_silent"


NEVER = inf  # a threshold that no evidence reaches
