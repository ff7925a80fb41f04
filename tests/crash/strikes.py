"""When somebody is killed: at which row of the journal, how long after it."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.crash.journal import Row
from tests.crash.victims import Victim


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


def points(rows: Sequence[Row]) -> list[str]:
    """Names of the rows of an undisturbed run that another run has too, in order; each once."""
    return list(dict.fromkeys(row.name for row in rows if row.kind not in ("lease", "verdict", "run", "notify")))


def in_runs(names: Iterable[str], each: int, dice: random.Random) -> Iterator[tuple[Strike, ...]]:
    """Every name once, `each` of them a run, far apart from each other: the owner must have come back in between.

    Half of them strike at once, the others a little later, when the next effect has begun.
    """
    todo = list(names)
    stride = -(-len(todo) // each)
    for first in range(stride):
        yield tuple(Strike(name, after_s=dice.choice((0.0, dice.uniform(0, 0.05)))) for name in todo[first::stride])
