"""A plan: frozen ordered steps, the way back and why, what was waived. Its hash is what an approval covers."""

from typing import Annotated, Literal

from pydantic import Field

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.config import Settings, Strategy
from soc_deploy_mcp.core.ids import PlanHash, StepKey
from soc_deploy_mcp.core.model import Noun
from soc_deploy_mcp.core.release import Release, Target

Side = Literal["new", "old"]  # the release that comes, the one that serves


class Migrate(Noun):
    """Run one declared migration."""

    kind: Literal["migrate"] = "migrate"
    id: str
    needed: bool = True  # false: the release works without it; a failure is a warning


class Ensure(Noun):
    """Start or scale a release until so many instances are ready."""

    kind: Literal["ensure"] = "ensure"
    side: Side
    instances: int


class Settle(Noun):
    """New instances must stay ready for so long before they count."""

    kind: Literal["settle"] = "settle"
    seconds: float


class SmokeTest(Noun):
    """Requests to a release at weight 0, through the real entry."""

    kind: Literal["smoke"] = "smoke"
    side: Side


class Baseline(Noun):
    """Measure the old release and freeze what the judge compares with, before the first weight."""

    kind: Literal["baseline"] = "baseline"


class Shift(Noun):
    """One router write: so many percent to the new release. `hold` lets requests wait (recreate)."""

    kind: Literal["shift"] = "shift"
    new: int
    hold: bool = False
    dead_man: bool = False  # the timer beside the router returns the traffic when its owner dies


class Confirm(Noun):
    """The router's own word and probes through the real entry must agree with the intent."""

    kind: Literal["confirm"] = "confirm"
    new: int


class Judge(Noun):
    """Watch both releases until there is evidence to go on, or to go back."""

    kind: Literal["judge"] = "judge"
    new: int  # percent
    min_s: float
    max_s: float
    accept: bool = True  # false: go on after min_s unless something is wrong (batches of a rolling update)


class Verify(Noun):
    """The smoke list as users, and the Health Checks, for a window; judged without a baseline arm."""

    kind: Literal["verify"] = "verify"
    window_s: float
    max_s: float
    accept: bool = True  # false: an emergency does not wait for evidence to go back


class Bake(Noun):
    """Everybody is on the new release, the old one stays hot: the way back is one router write."""

    kind: Literal["bake"] = "bake"
    window_s: float


class MarkStable(Noun):
    kind: Literal["stable"] = "stable"


class Drain(Noun):
    kind: Literal["drain"] = "drain"
    side: Side


class Remove(Noun):
    kind: Literal["remove"] = "remove"
    side: Side


class Incident(Noun):
    """Write the incident report."""

    kind: Literal["incident"] = "incident"


Op = Annotated[
    Migrate
    | Ensure
    | Settle
    | SmokeTest
    | Baseline
    | Shift
    | Confirm
    | Judge
    | Verify
    | Bake
    | MarkStable
    | Drain
    | Remove
    | Incident,
    Field(discriminator="kind"),
]


class Step(Noun):
    """One row of the report's table."""

    key: StepKey  # green/provision, canary/25, …
    row: str  # "Canary 25 %"
    ops: tuple[Op, ...]
    phase: Literal["RUNNING", "PROMOTING", "BAKING"] = "RUNNING"
    deadline_s: float  # absolute from its start; restarts do not move it
    verification: str
    undo: str  # or "no undo: …"


class Candidate(Noun):
    """A release that was looked at as a way back, and the rule that refused it."""

    version: str
    slug: str
    refused: str  # empty: chosen


class WayBack(Noun):
    """Where this run goes back to, chosen when the plan was made."""

    release: Release | None  # None: first release, nothing to return to
    why: str
    candidates: tuple[Candidate, ...] = ()


class Waiver(Noun):
    """A check that was accepted by a typed flag. Part of the hash, so of what was approved."""

    check: str
    flag: str


class StepPower(Noun):
    """What the judge can see in a step at the traffic that was measured."""

    key: StepKey
    metric: str
    ratio: float | None  # smallest regression found with 80 %; None: none
    accept_s: float | None  # expected time to accept a healthy release; None: longer than the step
    accept_chance: float  # chance to be accepted within the step's maximum


class Advice(Noun):
    """What was estimated when the plan was made. Not in the hash: it moves with the traffic."""

    power: tuple[StepPower, ...] = ()
    risks: tuple[str, ...] = ()
    duration_s: tuple[float, float] = (0.0, 0.0)
    downtime_s: float | None = None  # recreate
    back_s: float | None = None
    back_basis: str = ""


class Plan(Noun):
    action: Literal["deploy", "rollback"]
    target: Target
    strategy: Strategy
    new: Release
    old: Release | None  # what serves now
    hot: bool = False  # rollback: the release is still running
    steps: tuple[Step, ...]  # empty: nothing to change
    way_back: WayBack
    settings: Settings
    auto_rollback: bool
    waivers: tuple[Waiver, ...] = ()
    reason: str | None = None
    advice: Advice = Advice()

    @property
    def hash(self) -> PlanHash:
        """Over everything but the advice: no clock time, no id, no origin. Equal facts give an equal hash."""
        return PlanHash(digest(self.model_dump(mode="json", exclude={"advice"})))

    @property
    def no_change(self) -> bool:
        return not self.steps
