"""Levels: blocks against the old release, memory that only grows."""

from math import nan

from soc_deploy_mcp.actions.deploy.judge import Memory, Tick, Verdict, Word
from soc_deploy_mcp.core.config.settings import CustomCheck
from tests.actions.judge.build import play, rules, tick

CRITICAL = CustomCheck(name="queue", gauge="q", critical=True)
ADVISORY = CustomCheck(name="queue", gauge="q")


def seconds(count: int, new: float, old: float) -> list[Tick]:
    return [tick(float(t), gauges={"queue": (new, old)}) for t in range(1, count + 1)]


def after(check: CustomCheck, new: float, old: float, count: int = 600) -> Verdict:
    return play(seconds(count, new, old), rules(checks=(check,)))[1][-1]


def test_a_critical_level_above_the_old_releases_stops_the_rollout() -> None:
    verdict = after(CRITICAL, 20.0, 10.0)
    assert (verdict.word, verdict.reason, verdict.metric) == (Word.ABSOLUTE, "gauge", "queue")


def test_an_advisory_level_does_not() -> None:
    assert after(ADVISORY, 20.0, 10.0).word is Word.ACCEPT


def test_within_the_tolerance_it_is_the_same_level() -> None:
    assert after(CRITICAL, 12.4, 10.0).word is Word.ACCEPT


def test_two_blocks_are_no_proof() -> None:
    assert after(CRITICAL, 20.0, 10.0, count=32).word is Word.ACCEPT


def test_a_level_that_is_not_known_is_no_sign_either_way() -> None:
    state, _ = play(seconds(100, nan, 10.0), rules(checks=(CRITICAL,)))
    assert state.gauges["queue"][:2] == (0, 0)


def test_equal_levels_are_no_sign() -> None:
    state, _ = play(seconds(100, 0.0, 0.0), rules(checks=(CRITICAL,)))
    assert state.gauges["queue"][:2] == (0, 0)


def growing(mb_s: float, start: float, limit: float, count: int = 90, **more: bool) -> list[Tick]:
    used = [start + mb_s * t for t in range(1, count + 1)]
    return [tick(float(t), memory={"a": Memory(mb / limit, mb)}, **more) for t, mb in enumerate(used, 1)]


def said(ticks: list[Tick]) -> str:
    verdict = play(ticks)[1][-1]
    return verdict.reason if verdict.word is Word.ABSOLUTE else ""


def test_memory_that_grows_towards_its_limit_is_a_leak() -> None:
    assert said(growing(4.0, 100, 1000)) == "memory_leak"


def test_growth_is_no_leak_while_the_release_warms_up() -> None:
    assert said(growing(4.0, 100, 1000, warming=True)) == ""


def test_slow_growth_and_a_far_limit_are_no_leak() -> None:
    assert said(growing(2.5, 100, 1000)) == ""
    assert said(growing(4.0, 100, 64_000)) == ""


def test_one_large_allocation_is_no_leak() -> None:
    flat = [tick(float(t), memory={"a": Memory(m / 1000, m)}) for t in range(1, 91) for m in [100 if t < 50 else 500]]
    assert said(flat) == ""


def test_an_instance_without_a_limit_or_without_samples_cannot_leak() -> None:
    assert said([tick(float(t), memory={"a": Memory(None, 100.0 * t)}) for t in range(1, 91)]) == ""
    assert said([tick(float(t), memory={"a": Memory(0.5, None)}) for t in range(1, 91)]) == ""


def test_the_track_of_an_instance_stays_short() -> None:
    state, _ = play(growing(0.1, 100, 64_000, count=600))
    assert len(state.memory["a"]) <= 10
