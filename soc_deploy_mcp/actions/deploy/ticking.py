"""One observation, tick by tick: look, write the tick down, judge, remember. The tick file is the evidence."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from soc_deploy_mcp.actions.deploy.judge import (
    JudgeState,
    Measured,
    Specs,
    StepInfo,
    Tick,
    Verdict,
    Word,
    new_state,
    on_new_step,
    update,
    verdict,
)
from soc_deploy_mcp.actions.deploy.sight import Eyes, Look
from soc_deploy_mcp.actions.deploy.world import World
from soc_deploy_mcp.core.event import VerdictGiven
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.engine.context import Watching

CHECKPOINT_S = 5.0
GAP_S = 3.0


class TickFile:
    """`ticks-<step>.jsonl` in the run directory: one line a tick, written before the judge hears of it."""

    def __init__(self, directory: Path, key: str) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = directory / f"ticks-{key.replace('/', '-').replace('#', '-')}.jsonl"
        self._sha = hashlib.sha256(self._path.read_bytes() if self._path.exists() else b"")

    def append(self, tick: Tick, *, resumed: bool) -> None:
        """`resumed` marks the first tick after a restart: it counts on from the last checkpoint, so the lines since
        that one are overtaken by it."""
        line = json.dumps(tick.to_json() | ({"resumed": True} if resumed else {}), separators=(",", ":")) + "\n"
        with self._path.open("a") as file:
            file.write(line)
        self._sha.update(line.encode())

    @property
    def digest(self) -> str:
        """sha256 of the file so far."""
        return self._sha.hexdigest()


class Ticking:
    """The judge's state over one observation. `judged` is what the last observation of this run left behind."""

    def __init__(
        self, watch: Watching, eyes: Eyes, specs: Specs, step: StepInfo, world: World, key: StepKey, weight: int
    ) -> None:
        self.watch, self.eyes, self.specs, self.step, self.world = watch, eyes, specs, step, world
        self.key, self.weight = key, weight
        self.file = TickFile(world.run_dir, key)
        self.state: JudgeState
        self.last: Verdict | None = None
        self.seen: Look | None = None
        self.resumed = False
        self.paused: dict[str, Any] | None = None  # by whom and since when a person holds it
        self.promoted = ""  # who skips the rest of this wait
        self.held = ""  # what an ACCEPT means while the run is paused
        self.told_enough = False
        self._saved_at = 0.0
        self._told: tuple[Word, str] | None = None

    async def begin(self, measured: Measured, judged: dict[str, Any], planned: int, *, synthetic: bool) -> None:
        """From the checkpoint after a restart, else from what the last observation left, else anew."""
        kept = self.watch.checkpoint
        self.resumed = kept is not None
        if kept is not None:
            self.state = JudgeState.from_json(kept["judge"])
            self.paused = kept.get("paused")
            self.promoted = kept.get("promoted", "")
            self.told_enough = kept.get("told_enough", False)
        elif judged:
            self.state = on_new_step(JudgeState.from_json(judged["judge"]), self.specs)
            if (self.state.at or 0.0) > self.watch.now():  # the calendar was turned back: no tick would be news to it
                self.state = replace(self.state, at=None)
        else:
            self.state = new_state(self.specs, planned)
        counted = kept["eyes"] if kept is not None else judged.get("eyes")
        await self.eyes.open(measured, synthetic=synthetic, state=counted)

    async def tick(self) -> Verdict:
        """One look and what is known after it."""
        self.seen = await self.eyes.look()
        now = self.watch.now()
        tick = replace(self.seen.tick, at=now)  # by the clock that the verdict's limits are measured with
        self.file.append(tick, resumed=self.resumed)
        self.resumed = False
        self.state, _ = update(self.state, tick, self.specs)
        said = verdict(self.state, self.specs, self.step, now)
        if self._is_news(said, now):
            await self._tell(said)
            self._told = (said.word, said.metric)
        self.last = said
        if now - self._saved_at >= CHECKPOINT_S:
            await self.watch.save(self.left())
            self._saved_at = now
        self._show(said)
        return said

    def left(self) -> dict[str, Any]:
        """What the next observation, or the next process, goes on from."""
        orders = {"paused": self.paused, "promoted": self.promoted, "told_enough": self.told_enough}
        return {"judge": self.state.to_json(), "eyes": self.eyes.state(), **{k: v for k, v in orders.items() if v}}

    def patient(self, max_s: float) -> None:
        """The observation may last longer than was planned: a person paused it."""
        self.step = replace(self.step, max_s=max_s)

    @property
    def requests(self) -> int:
        """Requests of the new release that were counted in this observation, users' and our own."""
        return max((r.canary.n for r in self.last.readings), default=0) if self.last else 0

    def _is_news(self, said: Verdict, now: float) -> bool:
        """A new word. A gap of a moment is none: our own probes make one after each shift."""
        if said.word is Word.NO_DATA and said.since is not None and now - said.since < GAP_S:
            return False
        return self._told != (said.word, said.metric)

    async def _tell(self, said: Verdict) -> None:
        told = VerdictGiven(
            step=self.key,
            word=said.word,
            reason=said.reason,
            metric=said.metric,
            weight=self.weight,
            readings=[reading.to_json() for reading in said.readings],
            ticks_digest=self.file.digest,
        )
        await self.watch.emit(told, self.key)

    def _show(self, said: Verdict) -> None:
        self.world.board.update(
            at=self.watch.now(),
            step=self.key,
            weight=self.weight,
            word=said.word.value,
            reason=self.held if said.word is Word.ACCEPT else said.reason,
            metric=said.metric,
            since=self.step.started_at,
            readings=[reading.to_json() for reading in said.readings],
            cost={"excess": said.cost.excess, "cap": said.cost.cap, "budget_share": said.cost.budget_share},
        )
