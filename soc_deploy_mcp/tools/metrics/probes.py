"""Our own requests in the router's counters, and how they are taken out again.

The platform counts every probe the router answered in `soc_probes_total`, under the name and the class of status that
the router counted it with. Our page and the router's are not of one instant, so the two are balanced: a probe that one
side has and the other has not yet is carried to the next look, never shown as a user's request.

Counts can be balanced, times cannot: whose time was slow is not to be told from a histogram. A platform that aims many
probes at a release which has users should therefore give them a name of their own (Envoy: an aggregate cluster
`<slug>~` of the one release: the same instances, its own statistics), which is none of the release's `labels`.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Counts(NamedTuple):
    """Events and the bad ones among them: whole numbers, 0 <= x <= n."""

    n: int
    x: int


NOTHING = Counts(0, 0)


@dataclass(frozen=True, slots=True)
class Carried:
    """What one name's balance takes to the next look. Below 0: probes that the router's page did not show yet."""

    n: int = 0
    x: int = 0


def users_of(router: Counts, probes: Counts, carried: Carried) -> tuple[Counts, Carried]:
    """Users' requests of one name: the router's less our own."""
    if not (router.n or probes.n):
        return NOTHING, Carried(0, max(carried.x, 0))  # nothing is under way: what is missing never comes
    n = router.n - probes.n + carried.n
    x = router.x - probes.x + carried.x
    shown = Counts(max(n, 0), min(max(x, 0), max(n, 0)))
    return shown, Carried(n - shown.n, x - shown.x)
