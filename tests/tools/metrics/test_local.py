"""The scraper outlives whatever a reader does, and says of every thing how it is."""

import asyncio
import time
from collections.abc import Callable

import pytest

from soc_deploy_mcp.core.metrics import BadQuery, ScrapeHealth, SourceDown
from soc_deploy_mcp.tools.metrics import LocalSource
from soc_deploy_mcp.tools.metrics import local as local_module
from tests.tools.metrics.build import START_MS, Clock, Reader, line, page

START = START_MS / 1000


def reader(name: str, answer: Callable[[], bytes], *, after_others: bool = False) -> Reader:
    async def read() -> bytes:
        return answer()

    return Reader(name, read, after_others=after_others)


async def eventually(holds: Callable[[], bool]) -> None:
    for _ in range(1500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


async def test_before_the_first_scrape_the_source_is_down() -> None:
    source = LocalSource(list)
    with pytest.raises(SourceDown):
        await source.query("up", time.time())
    assert await source.health() == ()


async def test_each_reader_has_its_own_health() -> None:
    def refuse() -> bytes:
        raise OSError("no such socket")

    clock = Clock()
    source = LocalSource(
        lambda: [
            reader("good", lambda: page(line("a", 1))),
            reader("refused", refuse),
            reader("half", lambda: b"a 1\nb 2"),
            reader("empty", lambda: b""),
        ],
        now=clock,
    )
    await source.scrape_now()
    assert await source.health() == (
        ScrapeHealth("empty", False, None, "the page is empty"),
        ScrapeHealth("good", True, START, None),
        ScrapeHealth("half", False, None, "line 2: the page was cut off"),
        ScrapeHealth("refused", False, None, "OSError: no such socket"),
    )
    assert [(s.labels["instance"], s.value) for s in await source.query("a", clock.now)] == [("good", 1)]
    assert sum(s.value for s in await source.raw("up", clock.now)) == 1


async def test_a_reader_that_hangs_is_given_up_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module, "READ_TIMEOUT_S", 0.05)

    async def hang() -> bytes:
        await asyncio.Event().wait()
        return b""

    source = LocalSource(lambda: [Reader("hung", hang), reader("good", lambda: page(line("a", 1)))])
    await source.scrape_now()
    health = {h.name: h for h in await source.health()}
    assert health["good"].up
    assert health["hung"].error == "no answer in 0.05 s"


async def test_a_page_that_waits_for_the_others_is_read_after_them() -> None:
    order: list[str] = []

    def told(name: str, *, late: bool) -> Reader:
        async def read() -> bytes:
            await asyncio.sleep(0 if late else 0.02)
            order.append(name)
            return page(line("a", 1))

        return Reader(name, read, after_others=late)

    await LocalSource(
        lambda: [told("probes", late=True), told("one", late=False), told("two", late=False)]
    ).scrape_now()
    assert order[-1] == "probes"


async def test_readers_come_and_go() -> None:
    clock, readers = Clock(), [reader("a", lambda: page(line("x", 1)))]
    source = LocalSource(lambda: readers, now=clock)
    await source.scrape_now()
    readers[:] = [reader("b", lambda: page(line("x", 2)))]
    clock.now += 1
    await source.scrape_now()
    assert [(s.labels["instance"], s.value) for s in await source.query("x", clock.now)] == [("b", 2)]
    assert [h.name for h in await source.health()] == ["b"]


async def test_two_readers_of_one_name_are_read_by_nobody() -> None:
    source = LocalSource(lambda: [reader("a", lambda: page(line("x", 1)))] * 2)
    await source.scrape_now()
    assert [(h.up, h.error) for h in await source.health()] == [(False, "two readers have this name")]


async def test_when_the_platform_cannot_say_what_there_is_everything_is_unknown() -> None:
    clock, broken = Clock(), False

    def readers() -> list[Reader]:
        if broken:
            raise RuntimeError("no router directory")
        return [reader("a", lambda: page(line("x", 1)))]

    source = LocalSource(readers, now=clock)
    await source.scrape_now()
    broken = True
    clock.now += 1
    await source.scrape_now()
    assert await source.query("x", clock.now) == ()
    assert (await source.health())[0].error == "RuntimeError: no router directory"


async def test_it_scrapes_in_the_background_until_it_is_stopped() -> None:
    scrapes: list[float] = []

    def count() -> bytes:
        scrapes.append(time.monotonic())
        return page(line("a", len(scrapes)))

    source = LocalSource(lambda: [reader("a", count)], interval=0.01)
    await source.start()
    await source.start()
    await eventually(lambda: len(scrapes) > 5)
    await source.stop()
    done = len(scrapes)
    await asyncio.sleep(0.1)
    assert len(scrapes) == done
    await source.stop()


async def test_a_shorter_interval_takes_effect_at_once() -> None:
    scrapes: list[int] = []

    def count() -> bytes:
        scrapes.append(1)
        return page(line("a", 1))

    source = LocalSource(lambda: [reader("a", count)], interval=3600)
    await source.start()
    assert len(scrapes) == 1
    source.interval = 0.01
    assert source.interval == 0.01
    await eventually(lambda: len(scrapes) > 3)
    await source.stop()


async def test_a_failing_reader_does_not_end_the_scraper() -> None:
    answers = iter([b"a 1\n", ValueError("odd"), b"", b"a 4\n"])
    seen: list[object] = []

    def next_() -> bytes:
        answer = next(answers, b"a 9\n")
        seen.append(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    source = LocalSource(lambda: [reader("a", next_)], interval=0.01)
    await source.start()
    await eventually(lambda: len(seen) > 5)
    await source.stop()
    assert (await source.health())[0].up


async def test_what_the_scraper_saw_last_is_no_answer_when_it_has_ended() -> None:
    clock = Clock()
    source = LocalSource(lambda: [reader("a", lambda: page(line("x", 1)))], interval=1, now=clock)
    await source.scrape_now()
    assert await source.query("x", clock.now + 9)
    for ask in (source.query, source.raw):
        with pytest.raises(SourceDown, match="nothing was scraped for 11 s"):
            await ask("x", clock.now + 11)


async def test_bad_queries_are_refused() -> None:
    source = LocalSource(lambda: [reader("a", lambda: page(line("x", 1)))])
    await source.scrape_now()
    with pytest.raises(BadQuery):
        await source.query("sum(", time.time())
    with pytest.raises(BadQuery):
        await source.raw("sum(x)", time.time())


async def test_a_clock_that_goes_back_a_little_refuses_one_page_and_far_back_starts_anew() -> None:
    clock, value = Clock(), 0
    source = LocalSource(lambda: [reader("a", lambda: page(line("x", value)))], now=clock)
    await source.scrape_now()
    clock.now -= 0.5
    value = 1
    await source.scrape_now()
    assert "the clock went back" in ((await source.health())[0].error or "")
    clock.now += 1
    await source.scrape_now()
    assert [s.value for s in await source.query("x", clock.now)] == [1]
    clock.now -= 7200
    value = 2
    await source.scrape_now()
    assert [s.value for s in await source.query("x", clock.now)] == [2]
    assert (
        len(
            await source.query("x[1h]", clock.now) if False else await source.query("count_over_time(x[1h])", clock.now)
        )
        == 1
    )


async def test_old_samples_are_forgotten_while_it_runs() -> None:
    clock = Clock()
    source = LocalSource(lambda: [reader("a", lambda: page(line("x", 1)))], now=clock)
    for _ in range(1500):
        clock.now += 5
        await source.scrape_now()
    (counted,) = await source.query("count_over_time(x[10h])", clock.now)
    assert counted.value <= 720 + 530
