"""Quantities as people write them in soc-deploy.yaml: `90s`, `<200ms`, `<0.1%`."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def seconds(value: object) -> float:
    """`90s`, `15m`, `24h`, `90d`, `1500ms` as seconds. A bare number is refused: its unit would be a guess."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(match[1]) * _UNITS[match[2]]
    raise ValueError(f"a duration with a unit is wanted, such as 90s, 15m or 24h, not {value!r}")


def duration_text(value: float) -> str:
    """The shortest exact spelling of a number of seconds: `90s`, `2m`, `0.5s`."""
    for unit in ("d", "h", "m"):
        if value >= _UNITS[unit] and value % _UNITS[unit] == 0:
            return f"{int(value / _UNITS[unit])}{unit}"
    return f"{Decimal(str(value)).normalize():f}s"


def _seconds_or_number(value: object) -> float:
    """Serialised settings hold plain seconds; the file holds text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError(f"a duration with a unit is wanted, such as {duration_text(float(value) or 90)}, not {value}")
    return seconds(value)


Duration = Annotated[float, BeforeValidator(_seconds_or_number), PlainSerializer(duration_text, return_type=str)]

_LIMIT = re.compile(r"<\s*(\d+(?:\.\d+)?)\s*(ms|s|%)")


def limit(text: object, units: tuple[str, ...]) -> float:
    """The bound of a target such as `<200ms` (seconds) or `<0.1%` (a ratio, 0.001)."""
    match = _LIMIT.fullmatch(text.strip()) if isinstance(text, str) else None
    if not match or match[2] not in units:
        example = "<200ms" if "ms" in units else "<0.1%"
        raise ValueError(f"a target such as {example} is wanted, not {text!r}")
    return float(match[1]) * (0.01 if match[2] == "%" else _UNITS[match[2]])
