"""All JSON shapes of Envoy 1.40 (API v3, configured by files), as pure functions of a `RouterState`.

Cluster and eds files carry a digest of themselves as version, so an unchanged file stays byte for byte the same; the
route file carries `<epoch>.<seq>`, also as metadata: Envoy ignores a new version of unchanged content.
"""

import json
import math
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.tools.local.state import Endpoint, Mode, Pool, RouterState, Routes

Json = dict[str, Any]
Files = dict[str, str]  # file name -> content, in the order in which they must be written

ROUTES, CLUSTERS = "rds.json", "cds.json"
HOLD = "hold"  # the cluster that held requests wait on
DEAD_PORT = 1  # nobody but root can listen there: a connection is refused at once, so the request is retried
TOKEN_HEADER, RELEASE_HEADER = "x-soc-probe", "x-soc-version"  # of a probe
UPSTREAM_HEADER, CLUSTER_HEADER = "x-soc-upstream", "x-soc-cluster"  # of its answer
BUCKETS_MS = (1, 2, 5, 10, 25, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000, 2500, 5000, 10000)

_TYPE = "type.googleapis.com/envoy."
# Without a merge window of 0 the admin interface calls an instance healthy up to a second before the threads that
# forward requests know it: the switch to a new release would answer "no healthy upstream".
_BALANCING: Json = {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"}
_RETRY_ON = "connect-failure,refused-stream,reset-before-request"  # never 5xx: it would hide a release's errors


def spill_name(slug: Slug) -> str:
    """The cluster that falls over from a release to the proven one; `+` occurs in no slug."""
    return f"{slug}+"


def probe_name(slug: Slug) -> str:
    """The cluster that aimed probes go through: the release's instances with statistics of its own, so that the time
    of a probe is never taken for a user's. `~` occurs in no slug."""
    return f"{slug}~"


def release_named(cluster: str) -> Slug:
    return Slug(cluster.rstrip("+~"))


def cluster_names(state: RouterState) -> tuple[str, ...]:
    """Every cluster the router must know for this state."""
    probes = (probe_name(slug) for slug in state.slugs)
    spills = (spill_name(slug) for slug in state.spill)
    return (*state.slugs, *probes, *spills, HOLD)


def render(state: RouterState, *, version: str, token: str, xds: Path) -> Files:
    """Every file for this state: endpoints before the clusters that read them, routes last."""
    ends = {eds_file(p.slug): _assignment(p.slug, p.endpoints) for p in state.pools}
    ends[eds_file(HOLD)] = _assignment(HOLD, _catching(state))
    files = {name: _versioned([body]) for name, body in ends.items()}
    files[CLUSTERS] = _versioned(_clusters(state, xds))
    files[ROUTES] = _text(version, [_route_configuration(state.routes, version, token)])
    return files


def eds_file(name: str) -> str:
    return f"eds-{name}.json"


def _text(version: str, resources: list[Json]) -> str:
    return json.dumps({"version_info": version, "resources": resources}, separators=(",", ":"))


def _versioned(resources: list[Json]) -> str:
    return _text(digest(resources)[:12], resources)


# --- endpoints and clusters


def _assignment(name: str, endpoints: tuple[Endpoint, ...]) -> Json:
    ends = [_endpoint(e.port) | ({"health_status": "DRAINING"} if e.draining else {}) for e in endpoints]
    return {
        "@type": _TYPE + "config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": ends}],
    }


def _endpoint(port: int) -> Json:
    return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}


def catching_ports(state: RouterState) -> tuple[int, ...]:
    """What stands behind the hold cluster: the instances that answer, or nobody."""
    ports = [port for p in state.pools if p.slug in state.catch for port in p.serving]
    return tuple(sorted(ports)) or (DEAD_PORT,)


def _catching(state: RouterState) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(port=p) for p in catching_ports(state))


def _clusters(state: RouterState, xds: Path) -> list[Json]:
    plain = [_pool_cluster(p, xds) for p in state.pools]
    aimed = [_aggregate(probe_name(p.slug), p.slug) for p in state.pools]
    spilling = [_aggregate(spill_name(a), a, b) for a, b in sorted(state.spill.items())]
    return [*plain, *aimed, *spilling, _hold_cluster(xds)]


def _cluster(name: str, retries: int) -> Json:
    breakers = {"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096, "max_retries": retries}
    return {
        "@type": _TYPE + "config.cluster.v3.Cluster",
        "name": name,
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [breakers]},
    }


def _eds_cluster(name: str, xds: Path, *, idle_s: float, retries: int) -> Json:
    http = {
        "@type": _TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "common_http_protocol_options": {"idle_timeout": _seconds(idle_s)},
    }
    return _cluster(name, retries) | {
        "type": "EDS",
        "lb_policy": "LEAST_REQUEST",
        # Without it requests still reach an instance that was removed while its last health check was good.
        "ignore_health_on_host_removal": True,
        "eds_cluster_config": {"service_name": name, "eds_config": _watched(xds, eds_file(name))},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http},
    }


def _pool_cluster(pool: Pool, xds: Path) -> Json:
    check = {
        "timeout": _seconds(pool.health.timeout_s),
        "interval": "1s",
        "no_traffic_interval": "1s",
        "initial_jitter": "0.01s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "reuse_connection": False,  # reuse would hide a listener that is gone
        "http_health_check": {
            "path": pool.health.path,
            "host": "127.0.0.1",
            "expected_statuses": [{"start": pool.health.expect, "end": pool.health.expect + 1}],
        },
    }
    # Half of the application's own keep-alive: the side that closes first must be the one that sends.
    return _eds_cluster(pool.slug, xds, idle_s=pool.keepalive_s / 2, retries=64) | {
        "common_lb_config": _BALANCING | {"ignore_new_hosts_until_first_hc": True},
        "health_checks": [check],
        # Ejecting on a 5xx would hide the release's errors and move its share to others.
        "outlier_detection": {
            "consecutive_5xx": 0,
            "enforcing_consecutive_5xx": 0,
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "interval": "1s",
            "base_ejection_time": "5s",
            "max_ejection_percent": 50,
            "enforcing_success_rate": 0,
            "always_eject_one_host": False,
        },
    }


def _aggregate(name: str, *releases: Slug) -> Json:
    """The first release that has a healthy instance."""
    return _cluster(name, 64) | {
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": _TYPE + "extensions.clusters.aggregate.v3.ClusterConfig",
                "clusters": list(releases),
            },
        },
    }


def _hold_cluster(xds: Path) -> Json:
    # Each held request is a retry in waiting: the usual retry budget would answer the rest with 503.
    return _eds_cluster(HOLD, xds, idle_s=2.5, retries=4096) | {"common_lb_config": _BALANCING}


def _watched(xds: Path, name: str) -> Json:
    source = {"path": str(xds / name), "watched_directory": {"path": str(xds)}}
    return {"path_config_source": source, "resource_api_version": "V3"}


# --- routes


def _route_configuration(routes: Routes, version: str, token: str) -> Json:
    listed = [*(_aimed(s, token) for s in routes.aimed), _as_users(routes, token), _users(routes)]
    return {
        "@type": _TYPE + "config.route.v3.RouteConfiguration",
        "name": "r",
        "metadata": {"filter_metadata": {"soc": {"version": version}}},
        # Without it a route to an unknown cluster is accepted, and answers 503.
        "validate_clusters": True,
        "virtual_hosts": [{"name": "app", "domains": ["*"], "routes": listed}],
    }


def _aimed(slug: Slug, token: str) -> Json:
    """A probe aimed at a release, whatever its weight."""
    match = _match((TOKEN_HEADER, token), (RELEASE_HEADER, slug))
    return _probed({"match": match, "route": {"cluster": probe_name(slug), "timeout": "0s"}})


def _as_users(routes: Routes, token: str) -> Json:
    """A probe through the weights; it learns which instance answered."""
    return _probed(_users(routes) | {"match": _match((TOKEN_HEADER, token))})


def _users(routes: Routes) -> Json:
    strip = {"request_headers_to_remove": [TOKEN_HEADER, RELEASE_HEADER]}
    match routes.mode:
        case Mode.SERVE:
            return {"match": _match(), "route": _weighted(routes)} | strip
        case Mode.HOLD:
            return {"match": _match(), "route": _holding(routes.hold_s)} | strip
        case Mode.MAINTENANCE:
            return _closed()


def _weighted(routes: Routes) -> Json:
    clusters = [
        {"name": spill_name(slug) if slug in routes.spilled else slug, "weight": weight}
        for slug, weight in sorted(routes.weights.items())
    ]
    return {
        "timeout": "0s",
        "retry_policy": _retry_to_proven() if routes.spilled else _retry_elsewhere(),
        "weighted_clusters": {"clusters": clusters},
    }


def _retry_elsewhere() -> Json:
    kind = _TYPE + "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    predicate = {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": kind}}
    return {
        "retry_on": _RETRY_ON,
        "num_retries": 3,
        "retry_host_predicate": [predicate],
        "host_selection_retry_max_attempts": 3,
    }


def _retry_to_proven() -> Json:
    kind = _TYPE + "extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
    priority = {"@type": kind, "update_frequency": 1}
    return {
        "retry_on": _RETRY_ON,
        "num_retries": 3,
        "retry_priority": {"name": "envoy.retry_priorities.previous_priorities", "typed_config": priority},
    }


def _holding(hold_s: float) -> Json:
    """Nothing is sent upstream while a request waits, so any method may be held."""
    return {
        "cluster": HOLD,
        "timeout": _seconds(hold_s),
        "retry_policy": {
            "retry_on": "connect-failure",
            "num_retries": math.ceil(hold_s / 0.1) + 20,
            "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.25s"},
        },
    }


def _closed() -> Json:
    return {
        "match": _match(),
        "direct_response": {"status": 503, "body": {"inline_string": "deploying\n"}},
        "response_headers_to_add": [{"header": {"key": "retry-after", "value": "10"}}],
    }


def _match(*headers: tuple[str, str]) -> Json:
    exact = [{"name": name, "string_match": {"exact": value}} for name, value in headers]
    return {"prefix": "/"} | ({"headers": exact} if exact else {})


def _probed(route: Json) -> Json:
    learnt = ((UPSTREAM_HEADER, "%UPSTREAM_HOST%"), (CLUSTER_HEADER, "%UPSTREAM_CLUSTER%"))
    headers = [
        {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"} for key, value in learnt
    ]
    added = [*route.get("response_headers_to_add", []), *headers]
    strip = {"request_headers_to_remove": [TOKEN_HEADER, RELEASE_HEADER]}
    return route | {"response_headers_to_add": added} | strip


# --- the static part


def boot(*, listen: tuple[str, int], admin: Path, xds: Path, max_connections: int) -> str:
    """The file Envoy is started with. What changes later comes from the watched directory."""
    document = {
        "node": {"id": "soc", "cluster": "soc"},
        # The admin interface has no authentication: a socket only we can open.
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        "stats_flush_interval": "0.5s",  # histograms lag by it
        "stats_config": {"histogram_bucket_settings": [{"match": {"prefix": "cluster."}, "buckets": list(BUCKETS_MS)}]},
        "dynamic_resources": {"cds_config": _watched(xds, CLUSTERS)},
        "static_resources": {"listeners": [_listener(listen, xds)]},
        "overload_manager": {"resource_monitors": [_connection_limit(max_connections)]},
    }
    return json.dumps(document, indent=1)


def listen_of(boot_text: str) -> tuple[str, int]:
    """The entry's address in a boot file."""
    address = json.loads(boot_text)["static_resources"]["listeners"][0]["address"]["socket_address"]
    return str(address["address"]), int(address["port_value"])


def _listener(listen: tuple[str, int], xds: Path) -> Json:
    hcm = {"name": "hcm", "typed_config": _connection_manager(xds)}
    return {
        "name": "edge",
        "address": {"socket_address": {"address": listen[0], "port_value": listen[1]}},
        "filter_chains": [{"filters": [hcm]}],
    }


def _connection_manager(xds: Path) -> Json:
    router = {"@type": _TYPE + "extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}
    return {
        "@type": _TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": "0s",  # long streams
        "request_headers_timeout": "10s",
        "drain_timeout": "5s",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "server_header_transformation": "PASS_THROUGH",
        "common_http_protocol_options": {"idle_timeout": "60s", "headers_with_underscores_action": "ALLOW"},
        "rds": {"route_config_name": "r", "config_source": _watched(xds, ROUTES)},
        "http_filters": [{"name": "router", "typed_config": router}],
    }


def _connection_limit(limit: int) -> Json:
    kind = _TYPE + "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    return {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {"@type": kind, "max_active_downstream_connections": limit},
    }


def _seconds(value: float) -> str:
    """A protobuf duration; Envoy refuses 0 for most of them."""
    return f"{max(value, 0.001):.3f}s"
