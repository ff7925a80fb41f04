"""Instants and durations as people read them. All instants are UTC."""

from datetime import UTC, datetime

from soc_deploy_mcp.core.ids import Instant


def minute(at: Instant) -> str:
    """`2026-01-30 14:30 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def second(at: Instant) -> str:
    """`14:30:05 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")


def iso(at: Instant) -> str:
    """`2026-01-30T14:30:05Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def words(seconds: float) -> str:
    """A duration for a sentence: `12 minutes`, `45 seconds`, `1 hour 5 minutes`."""
    whole = round(seconds)
    if not whole:
        return "less than a second"
    if whole < 60:
        return _counted(whole, "second")
    if whole < 3600:
        minutes = round(seconds / 60)
        return _counted(minutes, "minute") if minutes < 60 else "1 hour"
    hours, minutes = divmod(round(seconds / 60), 60)
    return _counted(hours, "hour") + (f" {_counted(minutes, 'minute')}" if minutes else "")


def short(seconds: float) -> str:
    """A duration for a table cell: `0.4s`, `30s`, `2m 10s`, `3m`, `1h 5m`."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {rest}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m" if minutes else f"{hours}h"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")
