"""Deploy settings, judge settings, health targets, notifications: what may differ between environments."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from soc_deploy_mcp.core.config.quantities import Duration, limit
from soc_deploy_mcp.core.config.service import CHECK_NAME, PATH, Argv, Count, Model, Number, Reference, Switch, Word

Environment = Literal["dev", "staging", "prod"]
ENVIRONMENTS: tuple[Environment, ...] = ("dev", "staging", "prod")
Strategy = Literal["blue-green", "canary", "rolling", "recreate"]
STRATEGIES: tuple[Strategy, ...] = ("blue-green", "canary", "rolling", "recreate")


class CanarySettings(Model):
    steps: Annotated[tuple[Annotated[Count, Field(ge=1, le=100)], ...], Field(min_length=1)] = (5, 25, 50, 100)
    min: Duration = 60.0
    max: Duration = 900.0

    @model_validator(mode="after")
    def _rise_to_everyone(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1] != 100:
            raise ValueError("steps must rise and end at 100, such as [5, 25, 50, 100]")
        if self.min > self.max:
            raise ValueError("min is longer than max")
        return self


class RollingSettings(Model):
    max_surge: Annotated[Count, Field(ge=0, le=50)] = 1
    max_unavailable: Annotated[Count, Field(ge=0, le=50)] = 0
    min_ready_s: Annotated[Number, Field(ge=0)] = 10
    pause_after_first: Switch = False

    @model_validator(mode="after")
    def _can_move(self) -> Self:
        if self.max_surge + self.max_unavailable == 0:
            raise ValueError("max_surge and max_unavailable are both 0: nothing could ever be replaced")
        return self


class DeploySettings(Model):
    """How a rollout behaves on one environment."""

    auto_rollback: Switch = False
    on_conflict: Literal["reject"] = "reject"
    stable_unhealthy: Literal["forward", "refuse"] = "forward"
    inconclusive: Literal["hold", "extend", "rollback"] = "hold"
    decision_timeout: Duration = 600.0
    pause_expires: Duration = 86400.0
    verify_window: Duration = 120.0
    rollback_window: Duration = 300.0
    bake: Duration = 300.0
    min_instances: Annotated[Count, Field(ge=1)] = 1
    confirm_probes: Annotated[Count, Field(ge=1, le=100)] = 10
    lease_s: Annotated[Number, Field(ge=2, le=600)] = 15
    canary: CanarySettings = CanarySettings()
    rolling: RollingSettings = RollingSettings()
    require_accept_downtime: Switch = False
    max_downtime: Duration = 60.0

    @model_validator(mode="after")
    def _window_covers_verify(self) -> Self:
        if self.rollback_window < self.verify_window:
            raise ValueError("rollback_window is shorter than verify_window: the way back would close while looking")
        return self


class ResponseTime(Model):
    target: str = "<200ms"
    percentile: Annotated[Count, Field(ge=50, le=99)] = 95

    @property
    def bound_s(self) -> float:
        return limit(self.target, ("ms", "s"))

    @model_validator(mode="after")
    def _reads(self) -> Self:
        limit(self.target, ("ms", "s"))
        return self


class Ratio(Model):
    target: str

    @property
    def bound(self) -> float:
        """As a ratio: 0.001 for <0.1%."""
        return limit(self.target, ("%",))

    @model_validator(mode="after")
    def _reads(self) -> Self:
        if not 0 < limit(self.target, ("%",)) <= 1:
            raise ValueError("a target between 0% and 100% is wanted")
        return self


class HealthChecks(Model):
    """Targets of the report's Health Checks table."""

    response_time: ResponseTime = ResponseTime()
    error_rate: Ratio = Ratio(target="<0.1%")
    cpu: Ratio = Ratio(target="<70%")
    memory: Ratio = Ratio(target="<80%")


class CustomCheck(Model):
    """A metric of the user's own: counters of bad and total events, or a gauge. `$version` is filled in."""

    name: Annotated[str, Field(pattern=CHECK_NAME)]
    bad: Word | None = None
    total: Word | None = None
    gauge: Word | None = None
    tolerance: Annotated[Number, Field(gt=0)] = 0.25
    required: Switch = False
    critical: Switch = False
    expect: Literal["now", "new"] = "now"  # new: the series exists only once the release runs

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        counts = self.bad is not None and self.total is not None
        if counts == (self.gauge is not None) or (self.bad is None) != (self.total is None):
            raise ValueError("a check has bad and total, or gauge")
        return self


class JudgeSettings(Model):
    alpha: Annotated[Number, Field(gt=0, le=0.5)] = 0.01  # P(abort a good release) in one rollout
    beta: Annotated[Number, Field(gt=0, le=0.5)] = 0.05  # P(accept a bad release) in one step
    r0: Annotated[Number, Field(ge=1)] = 1.25  # worse than this is what REJECT must prove
    r_bad: Annotated[Number, Field(gt=1)] = 2.0  # as bad as this is what ACCEPT must rule out
    tick: Duration = 1.0
    min_samples: Annotated[Count, Field(ge=1)] = 100
    warmup: Duration = 15.0
    budget_share: Annotated[Number, Field(gt=0, le=1)] = 0.02
    synthetic: Literal["auto", "on", "off"] = "auto"
    synthetic_rate: Annotated[Number, Field(gt=0, le=1000)] = 20  # per second and arm
    synthetic_paths: tuple[Annotated[str, Field(pattern=PATH)], ...] = ()
    allow_blind: Switch = False
    checks: tuple[CustomCheck, ...] = ()

    @model_validator(mode="after")
    def _bounds_apart(self) -> Self:
        if self.r0 >= self.r_bad:
            raise ValueError("r0 must be below r_bad")
        if self.tick < 0.5:
            raise ValueError("tick is below 0.5s, faster than the router writes its counters")
        if len({c.name for c in self.checks}) < len(self.checks):
            raise ValueError("checks: two have the same name")
        return self


# What a channel may be told of.
EVENTS = (
    *("all", "started", "waiting_approval", "approved", "paused", "rolled_back", "succeeded", "failed", "alert"),
    "review_due",
)


class WebhookChannel(Model):
    kind: Literal["webhook"]
    url: Word  # a reference (env:NAME, file:/path), or an address without a secret in it
    key: Reference | None = None  # of the signing key
    label: str | None = None


class Notify(Model):
    channels: dict[str, WebhookChannel] = {}
    events: dict[str, tuple[str, ...]] = {}  # event name or all -> channels
    oncall: str | None = None

    @field_validator("events")
    @classmethod
    def _events_exist(cls, events: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if unknown := sorted(events.keys() - set(EVENTS)):
            raise ValueError(f"no event is called {', '.join(unknown)}; there are {', '.join(EVENTS)}")
        return events

    @model_validator(mode="after")
    def _channels_exist(self) -> Self:
        wanted = {c for names in self.events.values() for c in names} | ({self.oncall} if self.oncall else set())
        if unknown := sorted(wanted - self.channels.keys()):
            raise ValueError(f"no channel named {', '.join(unknown)}")
        return self


class Commands(Model):
    test: Argv | None = None


class Pipeline(Model):
    commands: Commands = Commands()


class Monitor(Model):
    runbook: Word = ".soc-deploy/runbooks/{service}.md"

    @field_validator("runbook")
    @classmethod
    def _stays_in_the_project(cls, runbook: str) -> str:
        path = PurePosixPath(runbook)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("the runbook lies in the project: a relative path without .. is wanted")
        if unknown := set(re.findall(r"\{(\w*)\}", runbook)) - {"service"}:
            raise ValueError(f"{{{sorted(unknown)[0]}}} is no placeholder; known is {{service}}")
        return runbook


# What one environment changes against the built-in defaults above (docs/configuration.md, "Windows").
BUILT_IN: dict[Environment, dict[str, object]] = {
    "dev": {
        "deploy": {
            "verify_window": "10s",
            "rollback_window": "60s",
            "bake": "15s",
            "canary": {"min": "10s"},
        }
    },
    "staging": {
        "deploy": {
            "verify_window": "60s",
            "rollback_window": "300s",
            "bake": "60s",
            "canary": {"min": "30s"},
        }
    },
    "prod": {"deploy": {"rolling": {"pause_after_first": True}}},
}
