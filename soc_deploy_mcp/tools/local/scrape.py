"""What a metrics source reads from this platform, as Prometheus text (exposition format 0.0.4).

Three pages a target (the router's counters, the gauges of the instances, our own probes) and one more for each routed
instance that has `/metrics`, for checks of the user's own.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.metrics import SourceDown
from soc_deploy_mcp.core.platform import InstanceSeen, InstanceState, Observation
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.tools.local import admin, http1
from soc_deploy_mcp.tools.local.platform import LocalPlatform
from soc_deploy_mcp.tools.local.probing import Answered

PAGE_S = 2.0
APPLICATION_LIMIT = 4 * 1024 * 1024  # bytes of an application's page
_ACCEPT = "text/plain; version=0.0.4"


@dataclass(frozen=True, slots=True)
class Reader:
    """One page. `read` gives exposition text, or raises: that is no data, not zero.

    `labels` belong to every series of it. `after_others`: to be read when the other pages of a round are in, so that
    what it counts is never behind them.
    """

    name: str
    read: Callable[[], Awaitable[bytes]]
    labels: Mapping[str, str] = field(default_factory=dict)
    after_others: bool = False


def readers(platform: LocalPlatform, target: Target) -> tuple[Reader, ...]:
    """The current list: instances come and go, so ask again at each scrape. Cheap: it reads one small file."""
    return (
        Reader("router", partial(_router_page, platform, target)),
        Reader("instances", partial(_instances_page, platform, target)),
        *(_application(*each) for each in platform.routed_instances(target)),
        Reader("probes", partial(_probes_page, platform, target), after_others=True),
    )


def _application(release: Slug, version: str, port: int) -> Reader:
    labels = {"release": release, "version": version}
    return Reader(f"{release}-{port}", partial(_application_page, port), labels)


async def _router_page(platform: LocalPlatform, target: Target) -> bytes:
    try:
        return await admin.metrics_text(platform.place(target).admin)
    except admin.RouterDown as down:
        raise SourceDown(f"the router does not answer: {down}") from None


async def _instances_page(platform: LocalPlatform, target: Target) -> bytes:
    return gauges(await platform.observe(target))


async def _probes_page(platform: LocalPlatform, target: Target) -> bytes:
    """Under the names and classes the router counted them with."""
    return _page([("soc_probes_total", "counter", _probe_samples(platform.probes(target)))])


async def _application_page(port: int) -> bytes:
    try:
        answer = await http1.request(
            ("127.0.0.1", port), "GET", "/metrics", headers={"accept": _ACCEPT}, timeout=PAGE_S, limit=APPLICATION_LIMIT
        )
    except (OSError, TimeoutError, http1.BadAnswer) as failed:
        raise SourceDown(str(failed) or f"no answer in {PAGE_S:g} s") from None
    if answer.status in (404, 405, 501):
        return b"# this application has no metrics\n"
    if answer.status != 200 or len(answer.body) >= APPLICATION_LIMIT:
        raise SourceDown(f"/metrics: status {answer.status}, {len(answer.body)} bytes")
    return answer.body


# --- pure


def gauges(seen: Observation) -> bytes:
    """Gauges of all instances that live or died unasked; what has no sample has no line."""
    rows = [(release.version, i) for release in seen.releases.values() for i in release.instances]

    def samples(value: Callable[[InstanceSeen], float | None]) -> list[tuple[dict[str, str], float]]:
        found = [({"release": i.release, "version": version, "instance": i.name}, value(i)) for version, i in rows]
        return [(labels, number) for labels, number in found if number is not None]

    def memory_bytes(i: InstanceSeen) -> float | None:
        return None if i.memory_mb is None else i.memory_mb * 1048576

    return _page(
        [
            ("soc_instance_cpu_ratio", "gauge", samples(lambda i: i.cpu_ratio)),
            ("soc_instance_memory_ratio", "gauge", samples(lambda i: i.memory_ratio)),
            ("soc_instance_memory_bytes", "gauge", samples(memory_bytes)),
            ("soc_instance_restarts_total", "counter", samples(lambda i: float(i.restarts))),
            ("soc_instance_ready", "gauge", samples(lambda i: float(i.state is InstanceState.READY))),
        ]
    )


def _probe_samples(counts: Mapping[Answered, int]) -> list[tuple[dict[str, str], float]]:
    return [
        (
            {
                "release": answered.release,
                "envoy_cluster_name": answered.cluster,
                "envoy_response_code_class": str(answered.status_class),
            },
            float(count),
        )
        for answered, count in sorted(counts.items())
    ]


def _page(families: Iterable[tuple[str, str, list[tuple[dict[str, str], float]]]]) -> bytes:
    lines: list[str] = []
    for name, kind, samples in families:
        lines.append(f"# TYPE {name} {kind}")
        lines += [f"{name}{{{_labels(labels)}}} {value!r}" for labels, value in samples]
    return ("\n".join(lines) + "\n").encode()


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
