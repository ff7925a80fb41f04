"""What the metrics source reads: the router's counters, our own requests in them, the instances."""

from collections import Counter

import pytest

from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.metrics import SourceDown
from soc_deploy_mcp.tools.local import envoy, http1, instances, scrape
from soc_deploy_mcp.tools.metrics.exposition import parse
from tests.e2e.local.scene import Scene, kill, until
from tests.e2e.local.test_switches import shop

FIRST = Epoch(1)


async def page(scene: Scene, name: str) -> list[tuple[dict[str, str], float]]:
    (reader,) = [r for r in scrape.readers(scene.platform, scene.target) if r.name == name]
    return [(dict(key), value) for key, value in parse(await reader.read()).samples]


def requests(rows: list[tuple[dict[str, str], float]], metric: str) -> Counter[tuple[str, str]]:
    """Requests by the router's name for the release and class of status."""
    found: Counter[tuple[str, str]] = Counter()
    for labels, value in rows:
        if labels["__name__"] == metric and value:
            found[labels["envoy_cluster_name"], labels["envoy_response_code_class"]] += int(value)
    return found


async def test_our_own_requests_are_counted_exactly_as_the_router_counts_them(scene: Scene) -> None:
    old, bad = await scene.release("v1.0.0"), await scene.release("v2.0.0", restart="never")
    await scene.serve(old)
    await scene.platform.ensure(scene.target, bad, 1, FIRST)
    await scene.platform.shift(scene.target, {old.slug: 50, bad.slug: 50}, FIRST, spill_to=old.slug)

    async def ask() -> None:
        for number in range(20):
            await scene.platform.probe(scene.target, (old.slug, bad.slug, None)[number % 3], "/", fresh=number % 2 == 0)

    await ask()
    kill((await scene.instances(bad.slug))[0].pid)

    async def dead() -> bool:
        return not any(i.alive for i in instances.scan(scene.place, bad.slug))

    await until(dead)
    await ask()  # some fall over, those aimed at the dead release get the router's 503
    await scene.platform.shift(scene.target, {old.slug: 100}, FIRST)
    for path in ("/", "/nothing"):
        await scene.platform.probe(scene.target, None, path)
    counted = requests(await page(scene, "router"), "envoy_cluster_upstream_rq_xx")
    assert requests(await page(scene, "probes"), "soc_probes_total") == counted
    aimed = {envoy.probe_name(slug) for slug in (old.slug, bad.slug)}
    assert {name for name, _ in counted} == {old.slug, envoy.spill_name(bad.slug), *aimed}
    assert not aimed & {name for r in (old, bad) for name in scene.platform.labels(r.slug).values}
    assert counted[envoy.probe_name(bad.slug), "5"] > 0


async def test_requests_the_router_answers_itself_are_nobodys(scene: Scene) -> None:
    old = await scene.release("v1.0.0", hold_s=0)
    await scene.serve(old)
    await scene.platform.shift(scene.target, {}, FIRST)

    async def closed() -> bool:
        return (await http1.request(("127.0.0.1", scene.port), "GET", "/", timeout=10)).status == 503

    await until(closed)
    for _ in range(20):
        await scene.platform.probe(scene.target, None, "/", fresh=True)
    counted = requests(await page(scene, "router"), "envoy_cluster_upstream_rq_xx")
    assert set(requests(await page(scene, "probes"), "soc_probes_total")) <= set(counted)
    assert not any(status == "5" for _, status in requests(await page(scene, "probes"), "soc_probes_total"))


async def test_instances_and_applications_have_pages_of_their_own(scene: Scene) -> None:
    teas, plain = await shop(scene, "v1.0.0"), await scene.release("v2.0.0")
    await scene.serve(teas, 1)
    await scene.platform.ensure(scene.target, plain, 1, FIRST)
    readers = {r.name: r for r in scrape.readers(scene.platform, scene.target)}
    (tea,), (other,) = [await scene.instances(r.slug) for r in (teas, plain)]
    assert set(readers) == {"router", "instances", "probes", tea.name, other.name}
    assert readers["probes"].after_others
    assert readers[tea.name].labels == {"release": teas.slug, "version": "v1.0.0"}
    names = {labels["__name__"] for labels, _ in await page(scene, tea.name)}
    assert "checkout_total" in names
    assert await page(scene, other.name) == []  # it has no such page: that is no failure
    gauges = await page(scene, "instances")
    ready = {labels["instance"]: value for labels, value in gauges if labels["__name__"] == "soc_instance_ready"}
    assert ready == {tea.name: 1, other.name: 1}


async def test_a_page_that_cannot_be_had_is_no_data(scene: Scene) -> None:
    with pytest.raises(SourceDown):
        await page(scene, "router")
