"""Instants and durations as people read them."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.times import iso, minute, second, short, words

AT = Instant(1769783405.9)  # 2026-01-30 14:30:05.9 UTC


def test_instants_are_utc_whatever_the_machine_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    assert minute(AT) == "2026-01-30 14:30 UTC"
    assert second(AT) == "14:30:05 UTC"
    assert iso(AT) == "2026-01-30T14:30:05Z"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "less than a second"),
        (0.4, "less than a second"),
        (1, "1 second"),
        (45, "45 seconds"),
        (59.4, "59 seconds"),
        (59.6, "1 minute"),
        (720, "12 minutes"),
        (3569, "59 minutes"),
        (3599, "1 hour"),
        (3600, "1 hour"),
        (3900, "1 hour 5 minutes"),
        (7200, "2 hours"),
        (7260, "2 hours 1 minute"),
    ],
)
def test_a_duration_in_a_sentence(seconds: float, said: str) -> None:
    assert words(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0s"),
        (0.4, "0.4s"),
        (9.94, "9.9s"),
        (9.95, "10s"),
        (30, "30s"),
        (59.6, "1m"),
        (130, "2m 10s"),
        (180, "3m"),
        (3599.6, "1h"),
        (3900, "1h 5m"),
    ],
)
def test_a_duration_in_a_table_cell(seconds: float, said: str) -> None:
    assert short(seconds) == said


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


@given(st.floats(0, 10_000_000))
def test_a_cell_is_never_further_off_than_half_of_its_last_unit(seconds: float) -> None:
    parts = re.findall(r"([\d.]+)([hms])", short(seconds))
    meant = sum(float(number) * _UNITS[unit] for number, unit in parts)
    least = 0.05 if seconds < 9.95 else 0.5 if seconds < 3600 else 60.0
    assert math.isclose(meant, seconds, abs_tol=least + 1e-6)


@given(st.floats(0, 10_000_000))
def test_no_unit_is_ever_full(seconds: float) -> None:
    """`60 seconds` is a minute and `60 minutes` an hour, after rounding too."""
    for number, unit in re.findall(r"(\d+)(?:\.\d+)?([ms])", short(seconds)):
        assert int(number) < 60, (short(seconds), unit)
    for number, unit in re.findall(r"(\d+) (second|minute)", words(seconds)):
        assert int(number) < 60, (words(seconds), unit)
