"""When somebody is killed: at which row of the journal, how long after it, and which moments there are for whom."""

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tests.crash.journal import Row
from tests.crash.victims import Victim, slug

Fate = Literal["good", "bad", "aborted"]
FATES: tuple[Fate, ...] = get_args(Fate)
SEED = os.environ.get("SOC_CRASH_SEED", "1")
SOON_S = 0.05  # in which the effect that a row announces has begun
_PASSING = ("lease", "verdict", "run", "notify")  # their number depends on how long things take


@dataclass(frozen=True)
class Strike:
    """`victims` are killed as soon as the row called `at` is in the journal for the `nth` time, or `after_s` later."""

    at: str
    victims: tuple[Victim, ...] = ("daemon",)
    after_s: float = 0.0
    nth: int = 1

    def __str__(self) -> str:
        later = f" + {self.after_s * 1000:.0f} ms" if self.after_s else ""
        return f"{' and '.join(self.victims)} at {self.at}{later}"


@dataclass(frozen=True)
class Moment:
    """A row that every run of this kind has. `new` and `old`: how many instances of that release live then."""

    name: str
    new: int
    old: int
    met: bool  # users are, or were, sent to the new release
    stable: bool  # the new release has proven itself

    def allows(self, victim: Victim, fate: Fate) -> bool:
        """Can the victim die now without a change of the run's end, and of what users get?

        The only instance of a release that users are sent to takes its requests with it. A new release whose instance
        dies is refused: that may not be the reason for the end where another one is expected.
        """
        whose = victim.partition(" ")[0]
        if whose == "old":
            return self.old > 1
        if victim == "new instance":
            return self.new > 1 and (self.stable if fate == "good" else self.met)
        return whose != "new" or self.new > 1


def moments(rows: Sequence[Row], new: str, old: str, fate: Fate) -> list[Moment]:
    """The rows of an undisturbed run that another run has too, in order. Versions as `v1.1.0`, `old` has two instances.

    Where users are taken back, how far the run comes before that decision is a matter of milliseconds: these are not.
    """
    counted, taken_back = _Counted(new, old), False
    found: dict[str, Moment] = {}
    for row in rows:
        uncertain = counted.undecided(fate) and not taken_back
        counted.add(row)
        taken_back |= row.key == "back/decided"
        certain = not uncertain and not (taken_back and _closes_another(row, found))
        if row.kind not in _PASSING and "#" not in row.name and certain:
            found.setdefault(row.name, counted.moment(row.name))
    return list(found.values())


def _closes_another(row: Row, found: Mapping[str, Moment]) -> bool:
    """The end of a step whose start is not among the moments: another run may be taken back in the step before it."""
    step, _, ended = row.name.rpartition("/")
    return ended == "ended" and f"{step}/started" not in found


def campaign(
    there: Sequence[Moment], fate: Fate, runs: int, others: Iterator[tuple[Victim, ...]], dice: random.Random
) -> Iterator[tuple[Strike, ...]]:
    """The strikes of so many runs: in each the daemon dies twice, and once each of the others whose turn it is.

    Half of the strikes come at once, the others a little later, when the next effect has begun.
    """
    for run in range(runs):
        todo: list[tuple[Moment, Victim]] = []
        for half in (there[: len(there) // 2], there[len(there) // 2 :]):
            # Each half of the way is divided among the runs: together they reach everywhere.
            part = half[run * len(half) // runs : (run + 1) * len(half) // runs]
            todo.append((dice.choice(part), "daemon"))
        for victim in next(others):
            taken = [moment for moment, _ in todo]
            if free := [m for m in there if m.allows(victim, fate) and m not in taken]:
                todo.append((dice.choice(free), victim))
        yield tuple(Strike(m.name, (victim,), dice.choice((0.0, dice.uniform(0, SOON_S)))) for m, victim in todo)


class _Counted:
    """What the rows so far say about who lives and who is served by whom."""

    def __init__(self, new: str, old: str) -> None:
        self.new, self.old = new, old
        self.living = {new: 0, old: 2}
        self.routed = self.met = self.watched = self.stable = False
        self._asked: dict[str, dict[str, Any]] = {}

    def add(self, row: Row) -> None:
        if row.kind == "intent":
            self._asked[row.key] = row.payload.get("what") or {}
        what = self._asked.get(row.key, {}) if row.kind in ("intent", "observed") else {}
        self._count(what, seen=row.kind == "observed")
        self.routed |= "weights" in what
        self.met |= any(name.startswith(slug(self.new)) for name in what.get("weights", ()))
        self.watched |= self.met and what.get("observe") in ("judge", "verify")
        self.stable |= row.payload.get("change") == "stable"

    def _count(self, what: dict[str, Any], *, seen: bool) -> None:
        """What is taken away counts from the order on, what is added when it was seen."""
        for version, living in self.living.items():
            if what.get("remove", "").startswith(f"{version}-"):
                self.living[version] = 0
            elif what.get("ensure", "").startswith(f"{version}-") and (seen or what["instances"] < living):
                self.living[version] = what["instances"]

    def undecided(self, fate: Fate) -> bool:
        """Users may be taken back at any moment from here on. An abort is typed when the first route is changed."""
        return (fate == "aborted" and self.routed) or (fate == "bad" and self.watched)

    def moment(self, name: str) -> Moment:
        return Moment(name, self.living[self.new], self.living[self.old], self.met, self.stable)
