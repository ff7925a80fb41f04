"""What the old release did lately, and when that is called sick."""

from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.actions.deploy.judge.window import Window


def seen(*ticks: tuple[float, int, int]) -> Window:
    window = Window()
    for at, n, x in ticks:
        window = window.seen(at, n, x)
    return window


def test_one_bad_request_is_no_sickness_however_few_there_were() -> None:
    assert not seen((1.0, 1, 1)).sick(0.005)
    assert seen((1.0, 1, 1), (2.0, 1, 1)).sick(0.005)


def test_the_rate_must_be_above_the_line() -> None:
    assert not seen((1.0, 400, 2)).sick(0.005)
    assert seen((1.0, 399, 2)).sick(0.005)


def test_a_burst_shows_within_seconds_after_a_long_good_time() -> None:
    calm = [(float(t), 100, 0) for t in range(1, 60)]
    window = seen(*calm, (60.0, 100, 2), (61.0, 100, 2))
    assert window.sick(0.005)
    assert not seen(*calm, (60.0, 100, 1)).sick(0.005)


def test_few_bad_requests_show_over_a_minute() -> None:
    assert seen((1.0, 20, 1), (21.0, 20, 0), (41.0, 20, 1)).sick(0.02)


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    window = seen((1.0, 10, 10), *((float(t), 1, 0) for t in range(2, 80)))
    assert not window.sick(0.5)
    assert window.requests() < 80


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 50)), max_size=200))
def test_it_never_holds_more_than_a_few_slots(ticks: list[tuple[int, int]]) -> None:
    at, window = 0.0, Window()
    for step, n in ticks:
        at += step / 10
        window = window.seen(at, n, n // 2)
        assert len(window.fast) <= 3
        assert len(window.slow) <= 5
        assert window.requests() <= sum(n for _, n in ticks)
