"""What the old release did lately. It tells an outage that both releases suffer from one that the new one makes."""

from typing import NamedTuple

Slot = tuple[float, int, int]  # start, requests, bad ones
Slots = tuple[Slot, ...]

_FAST_S, _SLOW_S = 5.0, 60.0
_FAST_SLOTS, _SLOW_SLOTS = 2, 4  # ticks share a slot: memory is bounded however fast they come


class Window(NamedTuple):
    """The last 5 s and the last 60 s."""

    fast: Slots = ()
    slow: Slots = ()

    def seen(self, at: float, n: int, x: int) -> "Window":
        return Window(
            _with(self.fast, at, n, x, _FAST_S, _FAST_S / _FAST_SLOTS),
            _with(self.slow, at, n, x, _SLOW_S, _SLOW_S / _SLOW_SLOTS),
        )

    def requests(self) -> int:
        return sum([slot[1] for slot in self.slow])

    def sick(self, line: float) -> bool:
        """Two bad requests or more and a rate above `line`, over 5 s or over 60 s."""
        return _above(self.fast, line) or _above(self.slow, line)


def _with(slots: Slots, at: float, n: int, x: int, span_s: float, slot_s: float) -> Slots:
    if slots and at - slots[-1][0] < slot_s:
        start, n_old, x_old = slots[-1]
        return (*slots[:-1], (start, n_old + n, x_old + x))
    return (*[slot for slot in slots if slot[0] > at - span_s], (at, n, x))


def _above(slots: Slots, line: float) -> bool:
    bad = sum([slot[2] for slot in slots])
    return bad >= 2 and bad > line * sum([slot[1] for slot in slots])
