"""What the judge is given each tick: users' requests of each release, or the reason why they are not known."""

import json
import math

import pytest

from soc_deploy_mcp.core.config.settings import CustomCheck
from soc_deploy_mcp.core.metrics import ArmLabels, SourceDown
from soc_deploy_mcp.tools.metrics import Arm, ArmCounter, ArmReading, LocalSource
from soc_deploy_mcp.tools.metrics.counts import Unknown
from tests.tools.metrics.build import Clock, Probes, Reader, Router, line, page

OLD, NEW = "v2_0_8-aaaa1111", "v2_1_0-bbbb2222"
BOUNDS = {"latency": 150.0, "latency_slo": 200.0}


def arm(slug: str, version: str) -> Arm:
    return Arm(ArmLabels("envoy_cluster_name", (slug, f"{slug}+")), version, slug)


ARMS = {"canary": arm(NEW, "v2.1.0"), "baseline": arm(OLD, "v2.0.8")}


class Bench:
    """A router, our probes and an application page, scraped by hand once a second."""

    def __init__(self, *checks: CustomCheck, arms: dict[str, Arm] = ARMS) -> None:
        self.clock, self.router, self.probes = Clock(), Router(), Probes()
        self.app: list[str] = []
        self.readers = [Reader("router", self.router.page), Reader("soc", self.probes.page, after_others=True)]
        self.readers.append(Reader("app", self._app))
        self.source = LocalSource(lambda: self.readers, now=self.clock)
        self.checks, self.arms = checks, arms
        self.counter = self.made(None)

    def made(self, state: object) -> ArmCounter:
        kept = json.loads(json.dumps(state)) if state else None
        return ArmCounter(self.source, self.arms, max_age_s=2, bounds_ms=BOUNDS, checks=self.checks, state=kept)

    async def _app(self) -> bytes:
        return page(*self.app)

    async def begin(self) -> "Bench":
        self.router.serve(OLD, 1000, errors=3, slow=40)
        await self.source.scrape_now()
        await self.counter.snapshot(self.clock.now)
        return self

    async def tick(self) -> dict[str, ArmReading]:
        self.clock.now += 1
        await self.source.scrape_now()
        return await self.counter.read(self.clock.now)


async def test_users_of_an_unproven_release_are_counted_under_both_its_names() -> None:
    bench = await Bench().begin()
    bench.router.serve(f"{NEW}+", 10, errors=1, slow=2, slow_ms=180)
    bench.router.serve(OLD, 90, slow=4)
    got = await bench.tick()
    assert got["canary"].metrics == {"errors": (10, 1), "latency": (10, 2), "latency_slo": (10, 0)}
    assert got["baseline"].metrics == {"errors": (90, 0), "latency": (90, 4), "latency_slo": (90, 4)}
    assert got["canary"].unusable == ""
    assert got["canary"].age_s == 0


async def test_an_arm_without_requests_has_counted_none() -> None:
    bench = await Bench().begin()
    got = await bench.tick()
    assert got["canary"].metrics == {"errors": (0, 0), "latency": (0, 0), "latency_slo": (0, 0)}


async def test_two_router_processes_are_summed() -> None:
    bench = Bench()
    second = Router()
    bench.readers.append(Reader("router-2", second.page))
    second.serve(OLD, 50)
    await bench.begin()
    bench.router.serve(f"{NEW}+", 3)
    second.serve(f"{NEW}+", 4, errors=4, slow=1)
    got = (await bench.tick())["canary"].metrics
    assert got == {"errors": (7, 4), "latency": (7, 1), "latency_slo": (7, 1)}


async def test_a_router_that_cannot_be_read_makes_both_arms_unusable_and_loses_nothing() -> None:
    bench = await Bench().begin()
    bench.router.serve(f"{NEW}+", 5, errors=5)
    bench.router.up = False
    got = await bench.tick()
    for reading in got.values():
        assert "router is down: ConnectionRefusedError: refused" in reading.unusable
        assert not reading.counts
    bench.router.up = True
    assert (await bench.tick())["canary"].metrics["errors"] == (5, 5)


async def test_without_a_good_page_there_is_no_snapshot() -> None:
    bench = Bench()
    bench.router.up = False
    with pytest.raises(SourceDown, match="nothing was scraped yet"):
        await bench.counter.snapshot(bench.clock.now)
    bench.router.serve(OLD, 10)
    with pytest.raises(SourceDown, match="router is down"):
        await bench.begin()
    assert not bench.counter.started


async def test_a_scraper_that_stopped_answers_nothing() -> None:
    bench = await Bench().begin()
    bench.clock.now += 60
    got = await bench.counter.read(bench.clock.now)
    assert "nothing was scraped for 60 s" in got["canary"].unusable


async def test_a_stale_page_is_unusable() -> None:
    bench = await Bench().begin()
    bench.clock.now += 3
    assert "stale" in (await bench.counter.read(bench.clock.now))["baseline"].unusable


async def test_a_clock_read_before_the_scrape_still_gets_its_page() -> None:
    bench = await Bench().begin()
    asked_at = bench.clock.now
    bench.router.serve(OLD, 7)
    bench.clock.now += 0.4
    await bench.source.scrape_now()
    got = await bench.counter.read(asked_at)
    assert got["baseline"].metrics["errors"] == (7, 0)
    assert got["baseline"].age_s == 0


async def test_a_restarted_router_counts_from_zero() -> None:
    bench = await Bench().begin()
    bench.router.classes.clear()
    bench.router.timed.clear()
    bench.router.serve(OLD, 6, errors=1)
    assert (await bench.tick())["baseline"].metrics["errors"] == (6, 1)


async def test_a_new_router_process_is_unknown_for_one_tick() -> None:
    bench = await Bench().begin()
    bench.readers[0] = Reader("router-g2", bench.router.page)
    assert "router-g2 is read for the first time" in (await bench.tick())["canary"].unusable
    bench.router.serve(f"{NEW}+", 5)
    assert (await bench.tick())["canary"].metrics["errors"] == (5, 0)


async def test_the_first_look_after_a_restart_of_ours_covers_the_blind_time() -> None:
    bench = await Bench().begin()
    bench.router.serve(f"{NEW}+", 5)
    await bench.tick()
    state = bench.counter.to_json()
    bench.router.serve(f"{NEW}+", 20, errors=2, slow=3)
    bench.clock.now += 300
    bench.source = LocalSource(lambda: bench.readers, now=bench.clock)
    bench.counter = bench.made(state)
    assert bench.counter.started
    got = await bench.tick()
    assert got["canary"].metrics == {"errors": (20, 2), "latency": (20, 3), "latency_slo": (20, 3)}


async def test_a_bound_that_is_no_bucket_is_unknown_and_not_every_request_slow() -> None:
    bench = Bench()
    bench.counter = ArmCounter(bench.source, ARMS, max_age_s=2, bounds_ms={"latency": 160.0})
    await bench.begin()
    bench.router.serve(OLD, 10)
    got = (await bench.tick())["baseline"].metrics
    assert got["errors"] == (10, 0)
    assert got["latency"] == Unknown("the router has no bucket that ends at 160 ms")


async def test_buckets_that_contradict_each_other_are_unknown() -> None:
    bench = await Bench().begin()
    bench.router.serve(OLD, 10)
    bench.router.timed[OLD][Router.BOUNDS.index(150.0)] += 5
    got = (await bench.tick())["baseline"].metrics
    assert got["latency"] == Unknown(f"the buckets of {OLD} do not add up")
    assert got["latency_slo"] == (10, 0)


async def test_while_the_router_was_never_read_our_own_probes_do_not_stand_in_for_it() -> None:
    bench = Bench()
    bench.probes.sent(OLD, 5)
    bench.router.up = False
    with pytest.raises(SourceDown, match="router is down"):
        await bench.begin()
    assert "router is down" in (await bench.tick())["canary"].unusable


async def test_a_router_that_is_scraped_no_longer_is_unknown_whatever_else_is_read() -> None:
    bench = await Bench().begin()
    bench.probes.sent(OLD, 5)
    bench.router.serve(OLD, 5)
    await bench.tick()
    del bench.readers[0]
    assert "router: not scraped any more" in (await bench.tick())["baseline"].unusable


# --- our own probes


async def test_probes_aimed_at_the_unproven_release_are_not_its_users() -> None:
    bench = await Bench().begin()
    for _ in range(3):
        bench.router.serve(NEW, 20, errors=20, ms=1)
        bench.probes.sent(NEW, 20, errors=20)
        bench.router.serve(f"{NEW}+", 10, slow=1)
        got = (await bench.tick())["canary"].metrics
        assert got == {"errors": (10, 0), "latency": (10, 1), "latency_slo": (10, 1)}


async def test_probes_under_the_old_releases_name_are_taken_out_of_its_errors() -> None:
    bench = await Bench().begin()
    bench.router.serve(OLD, 100, errors=3)
    bench.router.serve(OLD, 20, errors=2)
    bench.probes.sent(OLD, 20, errors=2)
    assert (await bench.tick())["baseline"].metrics["errors"] == (100, 3)


async def test_probes_among_timed_requests_make_the_latency_unknown_until_the_next_tick_is_over() -> None:
    bench = await Bench().begin()

    async def latency(probes: int) -> object:
        bench.router.serve(OLD, 50 + probes)
        if probes:
            bench.probes.sent(OLD, probes)
        return (await bench.tick())["baseline"].metrics["latency"]

    assert await latency(0) == (50, 0)
    assert isinstance(await latency(5), Unknown)
    assert isinstance(await latency(0), Unknown)  # a probe's time may be written out one tick late
    assert await latency(0) == (50, 0)


async def test_probes_under_a_name_of_their_own_leave_everything_known() -> None:
    bench = await Bench().begin()
    bench.router.serve(f"{OLD}~", 20, errors=20)
    bench.probes.sent(f"{OLD}~", 20, errors=20)
    bench.router.serve(OLD, 100, slow=5)
    got = (await bench.tick())["baseline"].metrics
    assert got == {"errors": (100, 0), "latency": (100, 5), "latency_slo": (100, 5)}


async def test_a_probe_that_only_one_page_shows_is_never_a_users_request() -> None:
    bench = await Bench().begin()
    bench.probes.sent(OLD, 1, errors=1)  # we know the answer, the router's page was read before it
    assert (await bench.tick())["baseline"].metrics["errors"] == (0, 0)
    bench.router.serve(OLD, 1, errors=1)
    bench.router.serve(OLD, 4)
    assert (await bench.tick())["baseline"].metrics["errors"] == (4, 0)


async def test_probes_that_name_only_their_release_are_counted_under_its_plain_name() -> None:
    bench = await Bench().begin()

    async def bare() -> bytes:
        return page(line("soc_probes_total", 6, release=OLD))

    bench.readers[1] = Reader("soc", bare, after_others=True)
    bench.router.serve(OLD, 16)
    assert (await bench.tick())["baseline"].metrics["errors"] == (10, 0)


async def test_when_the_probes_cannot_be_read_users_cannot_be_told_apart() -> None:
    bench = await Bench().begin()
    bench.probes.sent(OLD, 1)
    bench.router.serve(OLD, 1)
    await bench.tick()
    bench.readers[1] = Reader("soc", Router.page.__get__(_down()))
    assert "soc is down" in (await bench.tick())["baseline"].unusable


def _down() -> Router:
    router = Router()
    router.up = False
    return router


# --- checks of the user's own

PAID = CustomCheck(
    name="paid",
    bad='sum(pay_failed_total{version="$version"})',
    total='sum(pay_total{version="$version"})',
    required=True,
)
QUEUE = CustomCheck(name="queue", gauge='avg(queue_depth{release="$release"})')


async def test_custom_counts_follow_the_version_of_the_arm() -> None:
    bench = await Bench(PAID).begin()
    bench.app = [line("pay_total", 100, version="v2.1.0"), line("pay_total", 500, version="v2.0.8")]
    await bench.tick()
    bench.app = [
        line("pay_total", 110, version="v2.1.0"),
        line("pay_failed_total", 2, version="v2.1.0"),
        line("pay_total", 590, version="v2.0.8"),
    ]
    got = await bench.tick()
    assert got["canary"].metrics["paid"] == (10, 2)
    assert got["baseline"].metrics["paid"] == (90, 0)


async def test_a_custom_check_without_any_series_is_unknown() -> None:
    bench = await Bench(PAID).begin()
    got = await bench.tick()
    assert got["canary"].metrics["paid"] == Unknown("no series matches `total`")
    assert got["canary"].metrics["errors"] == (0, 0)


async def test_a_custom_check_survives_a_restart_of_ours() -> None:
    bench = await Bench(PAID).begin()
    bench.app = [line("pay_total", 100, version="v2.1.0")]
    await bench.tick()
    bench.app = [line("pay_total", 130, version="v2.1.0")]
    bench.counter = bench.made(bench.counter.to_json())
    assert (await bench.tick())["canary"].metrics["paid"] == (30, 0)


async def test_more_bad_than_total_is_unknown_and_taken_back_when_it_adds_up() -> None:
    bench = await Bench(PAID).begin()
    bench.app = [line("pay_total", 1, version="v2.1.0"), line("pay_failed_total", 1, version="v2.1.0")]
    await bench.tick()
    bench.app = [line("pay_total", 1, version="v2.1.0"), line("pay_failed_total", 3, version="v2.1.0")]
    assert "do not belong together" in str((await bench.tick())["canary"].metrics["paid"])
    bench.app = [line("pay_total", 9, version="v2.1.0"), line("pay_failed_total", 3, version="v2.1.0")]
    assert (await bench.tick())["canary"].metrics["paid"] == (8, 2)


async def test_bad_may_be_what_is_left_of_the_total() -> None:
    left = PAID.model_copy(update={"bad": "sum(pay_total) - sum(pay_good_total)", "total": "sum(pay_total)"})
    bench = await Bench(left).begin()
    bench.app = [line("pay_total", 10), line("pay_good_total", 10)]
    await bench.tick()
    bench.app = [line("pay_total", 15), line("pay_good_total", 13)]
    assert (await bench.tick())["canary"].metrics["paid"] == (5, 2)


async def test_a_gauge_that_was_sampled_too_long_ago_is_unknown() -> None:
    bench = await Bench(QUEUE).begin()
    bench.app = [line("queue_depth", 1, release=NEW)]
    await bench.tick()
    bench.clock.now += 3
    assert "stale" in str((await bench.counter.read(bench.clock.now))["canary"].gauges["queue"])


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([line("queue_depth", 4, release=NEW), line("queue_depth", 8, release=NEW, i="2")], 6),
        ([], "no series matches"),
        ([line("queue_depth", math.nan, release=NEW)], "the value is nan"),
        ([line("queue_depth", math.inf, release=NEW)], "the value is inf"),
    ],
)
async def test_a_gauge_is_one_fresh_number_or_unknown(lines: list[str], wanted: float | str) -> None:
    bench = await Bench(QUEUE).begin()
    bench.app = lines
    got = (await bench.tick())["canary"].gauges["queue"]
    assert got == (wanted if isinstance(wanted, int) else Unknown(wanted))


async def test_a_gauge_with_several_values_is_not_averaged_by_guess() -> None:
    bench = await Bench(QUEUE.model_copy(update={"gauge": "queue_depth"})).begin()
    bench.app = [line("queue_depth", 1, i="1"), line("queue_depth", 1, i="2")]
    assert (await bench.tick())["canary"].gauges["queue"] == Unknown("2 series match: aggregate them")


async def test_a_gauge_whose_application_is_down_is_unknown() -> None:
    bench = await Bench(QUEUE).begin()
    bench.app = [line("queue_depth", 1, release=NEW)]
    await bench.tick()
    bench.app = ["not a page"]
    assert (await bench.tick())["canary"].gauges["queue"] == Unknown("no series matches")


# --- fail-closed, all together


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "0.5", "1e400"])
async def test_no_broken_value_of_the_router_becomes_a_count(value: str) -> None:
    bench = await Bench().begin()

    async def broken() -> bytes:
        text = (await bench.router.page()).decode()
        head, _, rest = text.partition("\n")
        return f"{head.rsplit(' ', 1)[0]} {value}\n{rest}".encode()

    bench.readers[0] = Reader("router", broken)
    for reading in (await bench.tick()).values():
        assert reading.unusable
        assert not reading.counts


@pytest.mark.parametrize("spoil", [lambda t: t[:-3], lambda t: t + t, lambda t: b"", lambda t: b"<html>oops</html>\n"])
async def test_no_broken_page_of_the_router_becomes_a_count(spoil: object) -> None:
    bench = await Bench().begin()

    async def broken() -> bytes:
        return spoil(await bench.router.page())  # type: ignore[operator, no-any-return]

    bench.readers[0] = Reader("router", broken)
    for reading in (await bench.tick()).values():
        assert reading.unusable
        assert not reading.counts
