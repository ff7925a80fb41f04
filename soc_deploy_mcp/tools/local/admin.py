"""What Envoy says about itself, read over its admin socket: pure parsers and the two questions that need them."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.tools.local import http1
from soc_deploy_mcp.tools.local.envoy import HOLD, release_named
from soc_deploy_mcp.tools.local.state import Mode

TIMEOUT_S = 1.0
# `[^.]+`: each counter exists twice, also below `external`.
METRICS_FILTER = (
    r"^(cluster\.[^.]+\.(upstream_rq_.xx|upstream_rq_time|upstream_rq_active|upstream_cx_connect_fail"
    r"|membership_healthy)|http\.edge\.downstream_rq_.*)$"
)
_UNHEALTHY = (
    "failed_active_health_check",
    "failed_outlier_check",
    "failed_active_degraded_check",
    "pending_active_hc",
    "excluded_via_immediate_hc_fail",
    "active_hc_timeout",
    "pending_dynamic_removal",
)


class RouterDown(Exception):
    """The admin socket does not answer."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The routes in force."""

    version: str
    mode: Mode
    weights: Mapping[Slug, int]


@dataclass(frozen=True, slots=True)
class HostSeen:
    port: int
    healthy: bool
    draining: bool
    in_flight: int


@dataclass(frozen=True, slots=True)
class Clusters:
    """The clusters Envoy has, by name, each with its hosts by port."""

    hosts: Mapping[str, Mapping[int, HostSeen]] = field(default_factory=dict)

    def host(self, slug: Slug, port: int) -> HostSeen | None:
        return self.hosts.get(slug, {}).get(port)

    def ready_ports(self, slug: Slug) -> set[int]:
        return {h.port for h in self.hosts.get(slug, {}).values() if h.healthy}


def parse_applied(body: bytes) -> Applied | None:
    """`/config_dump?resource=dynamic_route_configs`. None before the first routes are in force."""
    configs = json.loads(body).get("configs") or []
    if not configs or "route_config" not in configs[0]:
        return None
    users = configs[0]["route_config"]["virtual_hosts"][0]["routes"][-1]
    route: dict[str, Any] = users.get("route", {})
    weights: dict[Slug, int] = {}
    if "direct_response" in users:
        mode = Mode.MAINTENANCE
    elif route.get("cluster") == HOLD:
        mode = Mode.HOLD
    else:
        mode = Mode.SERVE
        weights = {release_named(c["name"]): int(c["weight"]) for c in route["weighted_clusters"]["clusters"]}
    return Applied(str(configs[0].get("version_info", "")), mode, weights)


def parse_clusters(body: bytes) -> Clusters:
    """`/clusters?format=json`. A host that was not checked yet counts as failed; values of 0 are left out."""
    found: dict[str, Mapping[int, HostSeen]] = {}
    for cluster in json.loads(body).get("cluster_statuses", []):
        found[cluster["name"]] = {h.port: h for h in map(_host, cluster.get("host_statuses", []))}
    return Clusters(found)


def _host(host: dict[str, Any]) -> HostSeen:
    health = host.get("health_status", {})
    active = next((int(s.get("value", 0)) for s in host.get("stats", []) if s.get("name") == "rq_active"), 0)
    draining = health.get("eds_health_status") == "DRAINING"
    healthy = not draining and not any(health.get(flag) for flag in _UNHEALTHY)
    return HostSeen(int(host["address"]["socket_address"]["port_value"]), healthy, draining, active)


async def _get(admin: Path, path: str) -> bytes:
    try:
        answer = await http1.request(admin, "GET", path, timeout=TIMEOUT_S, limit=http1.PAGE_LIMIT)
    except (OSError, TimeoutError, http1.BadAnswer) as failed:
        raise RouterDown(str(failed) or type(failed).__name__) from None
    if answer.status != 200:
        raise RouterDown(f"status {answer.status}")
    return answer.body


async def applied(admin: Path) -> Applied | None:
    return parse_applied(await _get(admin, "/config_dump?resource=dynamic_route_configs"))


async def clusters(admin: Path) -> Clusters:
    return parse_clusters(await _get(admin, "/clusters?format=json"))


async def live(admin: Path) -> bool:
    """Has it loaded everything, and does it take connections?"""
    try:
        return (await http1.request(admin, "GET", "/ready", timeout=TIMEOUT_S)).body.strip() == b"LIVE"
    except (OSError, TimeoutError, http1.BadAnswer):
        return False


async def both(admin: Path) -> tuple[Applied | None, Clusters]:
    routes, ends = await asyncio.gather(applied(admin), clusters(admin))
    return routes, ends


async def metrics_text(admin: Path) -> bytes:
    """The counters and histograms the judge needs, as Prometheus text; about 9 KB for two releases."""
    escaped = METRICS_FILTER.replace("+", "%2B").replace("^", "%5E").replace("|", "%7C").replace("\\", "%5C")
    return await _get(admin, f"/stats/prometheus?usedonly&filter={escaped}")
