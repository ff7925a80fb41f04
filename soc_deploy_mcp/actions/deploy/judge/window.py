"""What the old release did lately. It tells an outage that both releases suffer from one that the new one makes."""

from typing import NamedTuple

_FAST_S, _SLOW_S, _BUCKET_S = 5.0, 60.0, 10.0

Slice = tuple[float, int, int]  # start, requests, bad ones


class Window(NamedTuple):
    """The ticks of the last 5 s, and the last 60 s in buckets of 10 s."""

    fast: tuple[Slice, ...] = ()
    slow: tuple[Slice, ...] = ()

    def seen(self, at: float, n: int, x: int) -> "Window":
        fast = (*(s for s in self.fast if s[0] > at - _FAST_S), (at, n, x))
        slow = tuple(s for s in self.slow if s[0] > at - _SLOW_S)
        if slow and at - slow[-1][0] < _BUCKET_S:
            start, n_old, x_old = slow[-1]
            return Window(fast, (*slow[:-1], (start, n_old + n, x_old + x)))
        return Window(fast, (*slow, (at, n, x)))

    def requests(self) -> int:
        return sum(s[1] for s in self.slow)

    def sick(self, line: float) -> bool:
        """Two bad requests or more and a rate above `line`, over 5 s or over 60 s."""
        return any(_above(part, line) for part in self)


def _above(part: tuple[Slice, ...], line: float) -> bool:
    bad = sum(s[2] for s in part)
    return bad >= 2 and bad > line * sum(s[1] for s in part)
