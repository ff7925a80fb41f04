"""Where a rollout is: what its program remembers between verbs, a function of their answers."""

from dataclasses import dataclass, field
from typing import Any

from soc_deploy_mcp.core.event import HealthRow, State
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.plan import Shift, Step


@dataclass
class Trail:
    phase: str = "RUNNING"
    state: State = State.RUNNING
    step: Step | None = None  # the one that was begun last
    open: bool = False  # … and has not ended
    touched: bool = False  # a write that users can notice was begun
    weight: int = 0  # percent of the new release that was last asked for
    shift: Shift | None = None  # the last one with weight: what to restore after a retreat
    old_left: int | None = None  # instances of the old release that still serve, once some were taken away: the way
    # back must bring the others back first; None: all of them
    decided: Instant | None = None  # a rollback by hand: when it began
    hold_since: Instant | None = None  # recreate: requests wait since then
    measured: dict[str, Any] = field(default_factory=dict)  # the baseline, frozen before the first weight
    judged: dict[str, Any] = field(default_factory=dict)  # the judge's state after the last observation
    judge_rows: list[dict[str, Any]] = field(default_factory=list)  # HealthRow JSON of the last comparison
    toll: dict[str, Any] | None = None  # what users met so far: an Impact
    words: dict[str, str] = field(default_factory=dict)  # step -> what its row says in brackets

    @property
    def shrunk(self) -> bool:
        return self.old_left is not None

    def begin(self, step: Step) -> None:
        self.step, self.open = step, True

    def health_rows(self) -> tuple[HealthRow, ...]:
        return tuple(HealthRow.from_json(row) for row in self.judge_rows)

    def row(self) -> str:
        """The label of the current step with what became of it: `Canary 5 % (ACCEPT after 2m 10s)`."""
        if self.step is None:
            return ""
        word = self.words.get(self.step.key)
        return f"{self.step.row} ({word})" if word else self.step.row
