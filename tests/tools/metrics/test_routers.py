"""The router's names, asked for by arm: every query reads, and finds the right series on a real page."""

from pathlib import Path

import pytest

from soc_deploy_mcp.core.metrics import ArmLabels
from soc_deploy_mcp.tools.metrics.exposition import parse
from soc_deploy_mcp.tools.metrics.promql import Engine
from soc_deploy_mcp.tools.metrics.routers import QUERIES
from soc_deploy_mcp.tools.metrics.store import Store
from tests.tools.metrics.build import START_MS

ENVOY = QUERIES["envoy"]
OLD = ArmLabels("envoy_cluster_name", ("v2_0_8-aaaa1111", "v2_0_8-aaaa1111+"))
NEW = ArmLabels("envoy_cluster_name", ("v2_1_0-bbbb2222", "v2_1_0-bbbb2222+"))


def recorded() -> Engine:
    """The recorded page, scraped twice: the second time with everything doubled."""
    store = Store()
    samples = parse((Path(__file__).parent / "pages/envoy-1.40.txt").read_bytes()).samples
    store.add("router", START_MS, samples)
    store.add("router", START_MS + 60_000, [(key, 2 * value) for key, value in samples])
    return Engine(store)


def answer(expr: str, after_ms: int = 0) -> float:
    (sample,) = recorded().query(expr, START_MS + after_ms)
    return sample.value


def test_totals_add_the_names_of_an_arm_and_all_classes() -> None:
    assert answer(ENVOY.total(NEW)) == 10 + 104 + 8
    assert answer(ENVOY.errors(NEW)) == 8
    assert answer(ENVOY.total(OLD)) == 1081 + 7
    assert answer(ENVOY.errors(OLD)) == 7


def test_buckets_add_the_names_of_an_arm() -> None:
    buckets = {s.labels["le"]: s.value for s in recorded().query(ENVOY.latency_buckets(NEW), START_MS)}
    assert buckets["+Inf"] == 10 + 112
    assert ENVOY.bound_ms({"__name__": ENVOY.buckets, "le": "150"}) == 150
    assert ENVOY.bound_ms({"__name__": ENVOY.requests, "le": "150"}) is None


def test_figures_for_people_over_a_window() -> None:
    assert answer(ENVOY.error_ratio(NEW, 90), 60_000) == pytest.approx(8 / 122)
    assert answer(ENVOY.request_rate(OLD, 90), 60_000) == pytest.approx(1088 * 1.5 / 90)
    assert 25 < answer(ENVOY.quantile(NEW, 90), 60_000) < 200


def test_a_name_is_matched_whole_and_literally() -> None:
    odd = ArmLabels("envoy_cluster_name", ('a.b"+', "c|d\\"))
    Engine.check(ENVOY.total(odd))
    assert recorded().query(ENVOY.total(ArmLabels("envoy_cluster_name", ("v2_1_0-bbbb222", "x"))), START_MS) == ()
    single = ArmLabels("envoy_cluster_name", ("v2_1_0-bbbb2222+",))
    assert answer(ENVOY.total(single)) == 112
