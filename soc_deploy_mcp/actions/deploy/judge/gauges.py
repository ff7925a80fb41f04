"""Levels instead of counts: blocks for the sign test, and memory that only grows."""

from collections.abc import Mapping
from math import isfinite

from soc_deploy_mcp.actions.deploy.judge.state import GaugeState, Track
from soc_deploy_mcp.actions.deploy.judge.ticks import Memory, Tick

BLOCK_S = 15.0  # shorter blocks are not independent: gauges are sampled more often than they change
LEAK_MB_S = 3.0
LEAK_HORIZON_S = 300.0  # a leak stops a rollout when the limit is reached this soon
_POINTS = 8  # a track keeps about so many points of its window


def block(gauge: GaugeState, at: float, pair: tuple[float, float] | None, tolerance: float) -> GaugeState:
    """Adds one tick's means of both releases; a full block becomes one sign. Equal means are no sign."""
    if pair is None or not all(_known(v) for v in pair):
        return gauge
    since = at if gauge.since is None else gauge.since
    sum_c, sum_b, samples = gauge.sum_c + pair[0], gauge.sum_b + pair[1], gauge.samples + 1
    if at - since < BLOCK_S:
        return GaugeState(gauge.above, gauge.below, since, sum_c, sum_b, samples)
    limit = sum_b * (1 + tolerance)
    return GaugeState(gauge.above + (sum_c > limit), gauge.below + (sum_c < limit))


def grown(tracks: Mapping[str, Track], tick: Tick, window_s: float) -> Mapping[str, Track]:
    """The memory of each instance over the window. An instance that is warming up may grow."""
    if tick.warming:
        return {}
    return {name: _longer(tracks.get(name, ()), tick.at, seen, window_s) for name, seen in tick.memory.items()}


def leaking(tracks: Mapping[str, Track], tick: Tick, window_s: float) -> bool:
    """An instance grew by more than 3 MB/s in both halves of the window and reaches its limit within five minutes."""
    return any(_leaks(track, tick.memory.get(name), window_s) for name, track in tracks.items())


def _longer(track: Track, at: float, seen: Memory, window_s: float) -> Track:
    if not _known(seen.mb) or seen.mb is None:
        return track
    kept = tuple(p for p in track if p[0] >= at - window_s)
    due = not kept or at - kept[-1][0] >= window_s / _POINTS
    return (*kept, (at, seen.mb)) if due else kept


def _leaks(track: Track, seen: Memory | None, window_s: float) -> bool:
    if seen is None or not seen.share or not seen.mb or not _known(seen.share) or len(track) < 3:
        return False
    first, middle, last = track[0], track[len(track) // 2], track[-1]
    if last[0] - first[0] < 0.7 * window_s:
        return False
    # One large allocation is a step, not a leak: both halves must grow.
    slope = min(_slope(first, middle), _slope(middle, last))
    room = seen.mb / seen.share - seen.mb
    return slope > LEAK_MB_S and room <= slope * LEAK_HORIZON_S


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def _known(value: object) -> bool:
    return isinstance(value, (int, float)) and isfinite(value)
