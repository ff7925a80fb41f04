"""What an arm did before a rollout: exact counts, and where memory ends, said so."""

import math

import pytest

from soc_deploy_mcp.core.metrics import ArmLabels
from soc_deploy_mcp.tools.metrics.counts import Unknown
from soc_deploy_mcp.tools.metrics.history import Measured, ever, latency_history, recent, slow_pairs
from soc_deploy_mcp.tools.metrics.routers import QUERIES
from tests.tools.metrics.build import OLD, Past, Probes, Reader, Router

ARM = ArmLabels("envoy_cluster_name", (OLD, f"{OLD}+"))
ENVOY = QUERIES["envoy"]


async def recent_of(past: Past, window_s: float) -> Measured:
    found = await recent(past.source, ENVOY, ARM, past.clock.now, window_s)
    assert isinstance(found, Measured)
    return found


async def test_a_window_counts_what_happened_in_it() -> None:
    past = Past()
    past.router.serve(OLD, 5000, errors=5000, slow=5000)
    await past.seconds(60, n=10)
    await past.seconds(30, n=10, errors=1, slow=2)
    found = await recent_of(past, 30)
    assert found.requests == (300, 30)
    assert found.slower(150) == (300, 60)
    assert found.rps == pytest.approx(10)
    assert found.error_ratio == pytest.approx(0.1)
    assert found.seconds == pytest.approx(30)


async def test_the_first_failures_of_a_release_are_counted() -> None:
    past = Past()
    await past.seconds(10, n=10)
    await past.seconds(1, n=10, errors=10)  # the series of 5xx appears with ten at once, where rate() would see none
    await past.seconds(5)
    assert (await recent_of(past, 10)).requests.x == 10


async def test_a_shorter_memory_gives_a_shorter_window() -> None:
    past = Past()
    past.router.serve(OLD, 5000)
    await past.seconds(41, n=2)
    found = await recent_of(past, 600)
    assert found.seconds == pytest.approx(37.5, abs=1)
    assert found.rps == pytest.approx(2)


async def test_a_reset_inside_the_window_counts_what_came_after() -> None:
    past = Past()
    await past.seconds(10, n=10)
    past.router.classes.clear()
    past.router.timed.clear()
    await past.seconds(5, n=3, errors=1)
    assert (await recent_of(past, 8)).requests == (15, 5)


async def test_without_requests_the_rate_is_zero_and_ratios_are_unknown() -> None:
    past = Past()
    await past.seconds(10)
    found = await recent_of(past, 5)
    assert (found.requests, found.rps, found.error_ratio, found.quantile_ms(0.95)) == ((0, 0), 0, None, None)


async def test_nothing_is_measured_while_the_router_is_down() -> None:
    past = Past()
    await past.seconds(10, n=10)
    past.router.up = False
    await past.seconds(1)
    assert await recent(past.source, ENVOY, ARM, past.clock.now, 5) == Unknown("nothing was read")
    assert isinstance(await ever(past.source, ENVOY, ARM, past.clock.now), Unknown)


@pytest.mark.parametrize("probed", [0, 5])
async def test_other_pages_do_not_make_a_router_that_is_down_look_quiet(probed: int) -> None:
    past, probes = Past(), Probes()
    past.readers.append(Reader("probes", probes.page, after_others=True))
    probes.sent(OLD, probed)
    await past.seconds(10, n=10)
    past.router.up = False
    await past.seconds(5)
    for found in (
        await recent(past.source, ENVOY, ARM, past.clock.now, 3),
        await recent(past.source, ENVOY, ARM, past.clock.now, 8),
        await ever(past.source, ENVOY, ARM, past.clock.now),
    ):
        assert isinstance(found, Unknown)


async def test_a_router_that_was_just_replaced_has_no_window_that_looks_empty() -> None:
    past = Past()
    await past.seconds(20, n=10)
    past.readers[0] = Reader("router-g2", past.router.page)
    await past.seconds(1, n=10)
    assert await recent(past.source, ENVOY, ARM, past.clock.now, 10) == Unknown("the router was read only just now")
    await past.seconds(4, n=10)
    assert (await recent_of(past, 10)).rps == pytest.approx(10)


async def test_an_application_that_came_lately_does_not_shorten_the_window() -> None:
    past = Past()
    await past.seconds(20, n=10)
    past.readers.append(Reader("app", Probes().page))
    await past.seconds(1, n=10)
    assert (await recent_of(past, 16)).seconds == pytest.approx(16)


async def test_the_window_ends_where_a_router_process_went_away() -> None:
    past, second = Past(), Router()
    past.readers.append(Reader("router-2", second.page))
    second.serve(OLD, 1)
    await past.seconds(20, n=10)
    del past.readers[1]
    await past.seconds(4, n=10)
    found = await recent_of(past, 16)
    assert (found.seconds, found.requests.n) == (pytest.approx(2), 20)


async def test_one_page_at_both_ends_is_no_quiet_time() -> None:
    past = Past()
    await past.seconds(5, step=5, n=10)
    assert (await recent_of(past, 3)).seconds == pytest.approx(5)  # the pages are five seconds apart, and it says so
    past.clock.now += 2
    assert isinstance(await recent(past.source, ENVOY, ARM, past.clock.now, 1), Unknown)


async def test_the_latency_bound_comes_from_ten_minutes_or_from_everything() -> None:
    past = Past()
    past.router.serve(OLD, 1000, slow=500)
    await past.seconds(30, step=5, n=10)
    young = await latency_history(past.source, ENVOY, ARM, past.clock.now)
    assert isinstance(young, Measured)
    assert (young.seconds, young.slower(150)) == (None, (1300, 500))
    await past.seconds(120, step=5, n=10)
    grown = await latency_history(past.source, ENVOY, ARM, past.clock.now)
    assert isinstance(grown, Measured)
    assert grown.slower(150) == (1200, 0)
    assert [bound for bound, _ in grown.buckets] == [25, 100, 150, 200, 1000, math.inf]


async def test_a_quantile_is_interpolated_and_never_infinite() -> None:
    past = Past()
    await past.seconds(2, n=100, slow=10)
    found = await recent_of(past, 1)
    assert found.quantile_ms(0.5) == pytest.approx(25 * 50 / 90)
    past.router.serve(OLD, 1000, ms=5000)
    await past.seconds(1)
    assert (await recent_of(past, 1)).quantile_ms(0.99) == 1000


async def test_our_own_probes_are_no_users() -> None:
    past, probes = Past(), Probes()
    past.readers.append(Reader("probes", probes.page, after_others=True))
    await past.seconds(5, n=10)
    past.router.serve(OLD, 30, errors=30, slow=30)
    probes.sent(OLD, 30, errors=30)
    await past.seconds(5, n=10, errors=1)
    assert (await recent_of(past, 8)).requests == (80, 5)
    past.router.serve(f"{OLD}+", 20, slow=20)  # nobody but us under this name: its times are not users' either
    probes.sent(f"{OLD}+", 20)
    await past.seconds(5, n=10)
    found = await recent_of(past, 5)
    assert (found.requests, found.slower(150)) == ((50, 0), (50, 0))


async def test_a_bound_that_is_no_bucket_is_unknown() -> None:
    past = Past()
    await past.seconds(2, n=100)
    assert isinstance((await recent_of(past, 1)).slower(160), Unknown)


async def test_neighbouring_stretches_are_paired_and_gaps_are_left_out() -> None:
    past = Past()
    await past.seconds(1)
    for slow in (1, 2, 3, 4):
        await past.seconds(1, n=10, slow=slow)
        await past.seconds(1)
    past.router.up = False
    await past.seconds(2, n=10, slow=9)
    past.router.up = True
    await past.seconds(1, n=10, slow=9)
    for slow in (5, 6):
        await past.seconds(1, n=10, slow=slow)
    pairs = await slow_pairs(past.source, ENVOY, ARM, past.clock.now, bound_ms=150, step_s=1, window_s=60)
    assert pairs == (((10, 1), (10, 2)), ((10, 3), (10, 4)), ((10, 5), (10, 6)))
