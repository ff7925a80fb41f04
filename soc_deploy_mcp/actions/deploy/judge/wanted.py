"""What the judge reads of the settings. Shapes only, so that the judge needs no library to be understood."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


class Check(Protocol):
    """A metric of the user's own: counts, or with `gauge` a level."""

    @property
    def name(self) -> str: ...
    @property
    def gauge(self) -> str | None: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def required(self) -> bool: ...
    @property
    def critical(self) -> bool: ...


class Settings(Protocol):
    """`core.config.JudgeSettings`."""

    @property
    def alpha(self) -> float: ...
    @property
    def beta(self) -> float: ...
    @property
    def r0(self) -> float: ...
    @property
    def r_bad(self) -> float: ...
    @property
    def tick(self) -> float: ...
    @property
    def budget_share(self) -> float: ...
    @property
    def synthetic(self) -> Literal["auto", "on", "off"]: ...
    @property
    def synthetic_rate(self) -> float: ...
    @property
    def checks(self) -> Sequence[Check]: ...


class Bound(Protocol):
    @property
    def bound(self) -> float: ...


class Latency(Protocol):
    @property
    def percentile(self) -> int: ...


class Targets(Protocol):
    """`core.config.HealthChecks`."""

    @property
    def error_rate(self) -> Bound: ...
    @property
    def response_time(self) -> Latency: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the rollout, as far as the judge is concerned."""

    weight: int  # percent of requests for the new release
    concurrent: bool  # the old release takes requests too
    min_s: float
    max_s: float
