"""Exposition text of our own pages."""

from soc_deploy_mcp.core.ids import Epoch, Instant
from soc_deploy_mcp.core.platform import DeadMan, InstanceSeen, InstanceState, Observation, ReleaseSeen
from soc_deploy_mcp.tools.local import scrape
from soc_deploy_mcp.tools.local.probing import Answered
from soc_deploy_mcp.tools.metrics.exposition import parse
from tests.tools.local.builders import NEW, OLD


def observed(*instances: InstanceSeen) -> Observation:
    releases = {OLD: ReleaseSeen(OLD, "v1.0.0", instances)}
    return Observation(Instant(0), releases, {}, "serve", "", Epoch(1), "", DeadMan(False), "")


def rows(page: bytes) -> list[tuple[dict[str, str], float]]:
    """As the metrics source reads them."""
    return [(dict(key), value) for key, value in parse(page).samples]


def samples(page: bytes) -> dict[str, float]:
    return {f"{labels['__name__']} {labels['instance']}": value for labels, value in rows(page)}


def test_gauges_of_an_instance_are_what_was_observed() -> None:
    seen = InstanceSeen("a", OLD, 1, 2, InstanceState.READY, 3, None, 0, 0.5, 0.25, 64.0)
    assert samples(scrape.gauges(observed(seen))) == {
        "soc_instance_cpu_ratio a": 0.5,
        "soc_instance_memory_ratio a": 0.25,
        "soc_instance_memory_bytes a": 64 * 1048576,
        "soc_instance_restarts_total a": 3,
        "soc_instance_ready a": 1,
    }


def test_what_has_no_sample_has_no_line() -> None:
    dead = InstanceSeen("a", OLD, 1, None, InstanceState.FAILED, 1)
    assert set(samples(scrape.gauges(observed(dead)))) == {"soc_instance_restarts_total a", "soc_instance_ready a"}


def test_labels_are_escaped() -> None:
    odd = InstanceSeen('a"\\\n', OLD, 1, 2, InstanceState.READY)
    assert 'soc_instance_ready a"\\\n' in samples(scrape.gauges(observed(odd)))


def test_probes_are_counted_as_the_router_counted_them() -> None:
    counts = {Answered(NEW, NEW, 2): 5, Answered(OLD, f"{NEW}+", 5): 1}
    page = scrape._page([("soc_probes_total", "counter", scrape._probe_samples(counts))])
    names = ("release", "envoy_cluster_name", "envoy_response_code_class")
    found = {tuple(labels[name] for name in names): value for labels, value in rows(page)}
    assert found == {(NEW, NEW, "2"): 5, (OLD, f"{NEW}+", "5"): 1}


def test_an_empty_page_is_a_page() -> None:
    assert rows(scrape.gauges(observed())) == []
