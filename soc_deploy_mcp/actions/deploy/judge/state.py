"""What the judge remembers between ticks. Immutable; written to JSON and back it is equal to the last bit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from soc_deploy_mcp.actions.deploy.judge.eprocess import Mixture, masses
from soc_deploy_mcp.actions.deploy.judge.types import Word
from soc_deploy_mcp.actions.deploy.judge.window import Window


class Arms(NamedTuple):
    """Requests and bad ones: new release, old release."""

    n_c: int = 0
    x_c: int = 0
    n_b: int = 0
    x_b: int = 0


NO_ARMS, NO_WINDOW = Arms(), Window()


@dataclass(frozen=True, slots=True)
class MetricState:
    relative: Mixture
    floor: Mixture
    guard: Mixture
    not_worse: tuple[float, ...]  # ACCEPT's comparison in this step, one sum of log-likelihood ratios an alternative
    pool: Arms = NO_ARMS  # ticks that had too few requests to be compared one by one
    pool_since: float | None = None  # time of the first of them
    step: Arms = NO_ARMS
    run: Arms = NO_ARMS
    recent: Window = NO_WINDOW  # the old release
    vouches: bool = False  # the old release had enough requests lately to tell an outage from a bad release
    sick: bool = False  # and it fails too
    counted: bool = False  # the last tick brought requests of every arm that is compared
    gap: str = ""  # why the last tick could not be used
    gap_since: float | None = None
    asked_c: float | None = None  # when the new release last answered, as far as known; at first: the first look at it
    asked_b: float | None = None
    ln_relative: float = 0.0  # the log e-values after the last tick
    ln_floor: float = 0.0
    ln_guard: float = 0.0
    ln_safe: float = -inf

    @property
    def ln_worse(self) -> float:
        """Worse than the old release, and enough to matter."""
        return min(self.ln_relative, self.ln_floor)


class GaugeState(NamedTuple):
    """Blocks above and not above the limit, and the block that is being filled."""

    above: int = 0
    below: int = 0
    since: float | None = None
    sum_c: float = 0.0
    sum_b: float = 0.0
    samples: int = 0


Track = tuple[tuple[float, float], ...]  # (time, MB) of one instance, thinned out


class Latch(NamedTuple):
    """A word that stays."""

    word: Word
    reason: str
    metric: str
    at: float


class Toll(NamedTuple):
    """Failed users' requests above the old release's rate, tick by tick, and the variance of that by chance."""

    excess: float = 0.0
    variance: float = 0.0


NO_TOLL = Toll()


@dataclass(frozen=True, slots=True)
class JudgeState:
    planned: int  # usable ticks of the longest rollout
    rules: tuple[tuple[Any, ...], ...]  # what REJECT goes by; another one in a later step is refused
    metrics: Mapping[str, MetricState]
    gauges: Mapping[str, GaugeState]
    at: float | None = None  # of the last tick that counted
    repeated: bool = False  # the tick after that one was no younger, and was ignored
    memory: Mapping[str, Track] = field(default_factory=dict)
    crashes: int = 0
    blind_since: float | None = None  # since when the instances could not be seen; None: the last tick saw them
    unheard: float = 0.0  # nats of evidence that the new release answers nobody
    toll: Toll = NO_TOLL
    latch: Latch | None = None
    suspect: str = ""  # the metric on which the guard has fired; the old release may still show that it suffers too
    suspect_since: float | None = None
    suffering: str = ""  # the metric that fails on both releases now

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; minus infinity is null."""
        return {
            "planned": self.planned,
            "rules": [list(rule) for rule in self.rules],
            "metrics": {name: _metric_json(m) for name, m in self.metrics.items()},
            "gauges": {name: list(g) for name, g in self.gauges.items()},
            "at": self.at,
            "repeated": self.repeated,
            "memory": {name: [list(p) for p in track] for name, track in self.memory.items()},
            "crashes": self.crashes,
            "blind_since": self.blind_since,
            "unheard": self.unheard,
            "toll": list(self.toll),
            "latch": list(self.latch) if self.latch else None,
            "suspect": self.suspect,
            "suspect_since": self.suspect_since,
            "suffering": self.suffering,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "JudgeState":
        """Raises KeyError, TypeError or ValueError for anything `to_json` did not write."""
        latch = data["latch"]
        return cls(
            planned=data["planned"],
            rules=tuple(tuple(rule) for rule in data["rules"]),
            metrics={name: _metric(m) for name, m in data["metrics"].items()},
            gauges={name: GaugeState(*g) for name, g in data["gauges"].items()},
            at=data["at"],
            repeated=data["repeated"],
            memory={name: tuple((at, mb) for at, mb in track) for name, track in data["memory"].items()},
            crashes=data["crashes"],
            blind_since=data["blind_since"],
            unheard=data["unheard"],
            toll=Toll(*data["toll"]),
            latch=Latch(Word(latch[0]), *latch[1:]) if latch else None,
            suspect=data["suspect"],
            suspect_since=data["suspect_since"],
            suffering=data["suffering"],
        )


_LOGS = ("ln_relative", "ln_floor", "ln_guard", "ln_safe")
_PLAIN = (
    "vouches",
    "sick",
    "counted",
    "gap",
    "gap_since",
    "asked_c",
    "asked_b",
    "pool_since",
)  # JSON has them as they are


def _metric_json(m: MetricState) -> dict[str, Any]:
    return {
        "relative": _mixture_json(m.relative),
        "floor": _mixture_json(m.floor),
        "guard": _mixture_json(m.guard),
        "not_worse": list(m.not_worse),
        "pool": list(m.pool),
        "step": list(m.step),
        "run": list(m.run),
        "recent": [[list(s) for s in part] for part in m.recent],
        **{name: getattr(m, name) for name in _PLAIN},
        **{name: None if (value := getattr(m, name)) == -inf else value for name in _LOGS},
    }


def _metric(data: Mapping[str, Any]) -> MetricState:
    logs: dict[str, Any] = {name: -inf if data[name] is None else data[name] for name in _LOGS}
    return MetricState(
        relative=_mixture(data["relative"]),
        floor=_mixture(data["floor"]),
        guard=_mixture(data["guard"]),
        not_worse=tuple(data["not_worse"]),
        pool=Arms(*data["pool"]),
        step=Arms(*data["step"]),
        run=Arms(*data["run"]),
        recent=Window(*(tuple((s[0], s[1], s[2]) for s in part) for part in data["recent"])),
        **{name: data[name] for name in _PLAIN},
        **logs,
    )


def _mixture_json(m: Mixture) -> list[Any]:
    return [list(m.mass), m.shared, m.scale, m.ticks]


def _mixture(data: list[Any]) -> Mixture:
    mass, shared, scale, ticks = data
    return Mixture(masses(mass), shared, scale, ticks)
