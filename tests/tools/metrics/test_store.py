"""The store keeps an hour, says what ended, and never mixes what it cannot tell apart."""

import pytest

from soc_deploy_mcp.core.metrics import ScrapeHealth
from soc_deploy_mcp.tools.metrics.promql import Engine
from soc_deploy_mcp.tools.metrics.store import ScrapeRefused, Store
from tests.tools.metrics.build import START_MS, line, scrape


def values(store: Store, selector: str, t_ms: int) -> dict[str, float]:
    return {s.labels.get("instance", ""): s.value for s in Engine(store).select(selector, t_ms)}


def test_series_carry_where_they_come_from_and_what_the_platform_attached() -> None:
    store = Store()
    scrape(store, START_MS, line("a", 1, code="200"), name="router-1", labels={"router_process": "1"})
    (found,) = Engine(store).select("a", START_MS)
    assert found.labels == {"__name__": "a", "code": "200", "instance": "router-1", "router_process": "1"}
    assert found.at == START_MS / 1000


def test_a_page_cannot_pretend_to_come_from_elsewhere() -> None:
    store = Store()
    scrape(store, START_MS, line("a", 1, instance="other", exported_instance="third"), line("up", 0))
    (found,) = Engine(store).select("a", START_MS)
    assert found.labels["instance"] == "router"
    assert {found.labels["exported_instance"], found.labels["exported_exported_instance"]} == {"other", "third"}
    assert values(store, "up", START_MS) == {"router": 1}
    assert values(store, "exported_up", START_MS) == {"router": 0}


def test_a_series_that_a_good_page_no_longer_shows_has_ended() -> None:
    store = Store()
    scrape(store, START_MS, line("a", 1), line("b", 2))
    scrape(store, START_MS + 1000, line("b", 3))
    assert values(store, "a", START_MS + 999) == {"router": 1}
    assert values(store, "a", START_MS + 1000) == {}
    assert values(store, "b", START_MS + 1000) == {"router": 3}


def test_a_failed_scrape_ends_every_series_of_the_page_until_the_next_good_one() -> None:
    store = Store()
    scrape(store, START_MS, line("a", 1))
    store.failed("router", START_MS + 1000, "refused")
    assert values(store, "a", START_MS + 1500) == {}
    assert values(store, "up", START_MS + 1500) == {"router": 0}
    assert store.health() == (ScrapeHealth("router", False, START_MS / 1000, "refused"),)
    scrape(store, START_MS + 2000, line("a", 5))
    assert values(store, "a", START_MS + 1999) == {}
    assert values(store, "a", START_MS + 2000) == {"router": 5}
    assert store.health() == (ScrapeHealth("router", True, START_MS / 1000 + 2, None),)


def test_a_thing_that_is_scraped_no_longer_gives_no_sample_and_no_health() -> None:
    store = Store()
    scrape(store, START_MS, line("a", 1), name="x")
    scrape(store, START_MS, line("a", 2), name="y")
    store.keep_only(["y"], START_MS + 500)
    assert values(store, "a", START_MS + 500) == {"y": 2}
    assert values(store, "up", START_MS + 600) == {"y": 1}
    assert [h.name for h in store.health()] == ["y"]


@pytest.mark.parametrize("later_ms", [0, -1, -5000])
def test_a_page_that_is_not_newer_is_refused_and_nothing_of_it_is_kept(later_ms: int) -> None:
    store = Store()
    scrape(store, START_MS, line("a", 1))
    with pytest.raises(ScrapeRefused, match="clock"):
        scrape(store, START_MS + later_ms, line("a", 99))
    assert values(store, "a", START_MS + 1) == {}
    assert len(store.series((("__name__", "up"), ("instance", "router"))).times) == 1
    assert not store.health()[0].up
    scrape(store, START_MS + 1000, line("a", 2))
    assert values(store, "a", START_MS + 1000) == {"router": 2}


def test_a_scrape_over_the_limit_is_refused_as_a_whole() -> None:
    store = Store(limit=3)
    scrape(store, START_MS, line("a", 1), line("b", 1))
    with pytest.raises(ScrapeRefused, match="more than 3 series"):
        scrape(store, START_MS + 1000, line("a", 2), line("c", 1), line("d", 1))
    assert len(store) == 2
    assert values(store, "a", START_MS + 1000) == {}
    assert "more than 3 series" in (store.health()[0].error or "")


def test_only_an_hour_is_kept_and_dead_series_make_room() -> None:
    store = Store(limit=2)
    scrape(store, START_MS, line("old", 1), line("kept", 0))
    for i in range(1, 1500):
        scrape(store, START_MS + i * 5000, line("kept", i))
    store.trim(START_MS + 1499 * 5000)
    assert len(store) == 1
    series = store.series((("__name__", "kept"), ("instance", "router")))
    assert series.times[0] >= START_MS + 1499 * 5000 - 3_600_000 - 5000 * 520
    scrape(store, START_MS + 1500 * 5000, line("kept", 1), line("new", 1))
    assert values(store, "new", START_MS + 1500 * 5000) == {"router": 1}


def test_a_series_that_comes_back_after_it_was_forgotten_is_found() -> None:
    store = Store(retention_ms=10_000)
    scrape(store, START_MS, line("a", 1))
    scrape(store, START_MS + 1000)
    store.trim(START_MS + 20_000)
    assert len(store) == 0
    scrape(store, START_MS + 20_000, line("a", 5))
    assert values(store, "a", START_MS + 20_000) == {"router": 5}


def test_other_labels_of_the_same_thing_begin_a_new_life_of_its_counters() -> None:
    store = Store()
    scrape(store, START_MS, line("a", 9), labels={"generation": "1"})
    scrape(store, START_MS + 1000, line("a", 1), labels={"generation": "2"})
    assert [(s.labels["generation"], s.value) for s in Engine(store).select("a", START_MS + 1000)] == [("2", 1)]
    with pytest.raises(ScrapeRefused):
        scrape(store, START_MS + 1000, line("a", 1), labels={"generation": "3"})


def test_after_clear_an_earlier_time_is_taken() -> None:
    store = Store()
    scrape(store, START_MS, line("a", 1))
    store.clear()
    scrape(store, START_MS - 3_600_000, line("a", 2))
    assert values(store, "a", START_MS - 3_600_000) == {"router": 2}
    assert len(store) == 1
