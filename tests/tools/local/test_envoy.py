"""What Envoy is told, and what it is never told."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.tools.local import envoy, launch
from soc_deploy_mcp.tools.local.state import RouterState, held, maintained, with_draining
from tests.tools.local.builders import NEW, OLD, TOKEN, XDS, serving


def render(state: RouterState, version: str = "7.12") -> envoy.Files:
    return envoy.render(state, version=version, token=TOKEN, xds=XDS)


def routes(state: RouterState) -> list[dict[str, Any]]:
    (configuration,) = json.loads(render(state)[envoy.ROUTES])["resources"]
    return list(configuration["virtual_hosts"][0]["routes"])


def clusters(state: RouterState) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for c in json.loads(render(state)[envoy.CLUSTERS])["resources"]}


def headers(route: dict[str, Any]) -> dict[str, str]:
    return {h["name"]: h["string_match"]["exact"] for h in route["match"].get("headers", [])}


def test_endpoints_are_written_before_clusters_and_routes_last() -> None:
    names = list(render(serving()))
    assert names[-2:] == [envoy.CLUSTERS, envoy.ROUTES]
    assert all(name.startswith("eds-") for name in names[:-2])


def test_users_are_split_by_weight() -> None:
    *_, users = routes(serving(95, 5))
    assert users["route"]["weighted_clusters"]["clusters"] == [{"name": OLD, "weight": 95}, {"name": NEW, "weight": 5}]


def test_an_unproven_release_is_routed_through_its_spill_over() -> None:
    *_, users = routes(serving(95, 5, spill=True))
    assert {c["name"] for c in users["route"]["weighted_clusters"]["clusters"]} == {OLD, f"{NEW}+"}
    aggregate = clusters(serving(spill=True))[f"{NEW}+"]
    assert aggregate["cluster_type"]["typed_config"]["clusters"] == [NEW, OLD]
    # The route's cluster is the aggregate: without limits of its own three retries at a time would be all.
    assert aggregate["circuit_breakers"]["thresholds"][0]["max_retries"] == 64


def test_no_request_is_ever_sent_twice_because_of_its_answer() -> None:
    for state in (serving(), serving(spill=True), held(serving())):
        for route in routes(state):
            policy = route.get("route", {}).get("retry_policy", {"retry_on": ""})
            assert not {"5xx", "gateway-error", "reset", "retriable-status-codes"} & set(policy["retry_on"].split(","))


def test_a_probe_reaches_each_release_only_with_the_token() -> None:
    *aimed, as_users, users = routes(serving())
    assert [headers(r) for r in aimed] == [
        {envoy.TOKEN_HEADER: TOKEN, envoy.RELEASE_HEADER: slug} for slug in (OLD, NEW)
    ]
    assert [r["route"]["cluster"] for r in aimed] == [f"{OLD}~", f"{NEW}~"]
    assert headers(as_users) == {envoy.TOKEN_HEADER: TOKEN}
    assert as_users["route"] == users["route"]
    assert headers(users) == {}


def test_only_probes_learn_who_answered_and_no_application_sees_our_headers() -> None:
    *probes, users = routes(serving())
    assert "response_headers_to_add" not in users
    for probe in probes:
        added = {h["header"]["key"]: h["header"]["value"] for h in probe["response_headers_to_add"]}
        assert added == {envoy.UPSTREAM_HEADER: "%UPSTREAM_HOST%", envoy.CLUSTER_HEADER: "%UPSTREAM_CLUSTER%"}
    for route in routes(serving()):
        assert set(route["request_headers_to_remove"]) == {envoy.TOKEN_HEADER, envoy.RELEASE_HEADER}


def test_held_requests_wait_on_a_port_where_nobody_listens() -> None:
    state = held(serving())
    *_, users = routes(state)
    assert users["route"]["cluster"] == envoy.HOLD
    assert users["route"]["timeout"] == "10.000s"
    assert users["route"]["retry_policy"]["num_retries"] >= 100
    assert envoy.catching_ports(state) == (envoy.DEAD_PORT,)
    assert clusters(state)[envoy.HOLD]["circuit_breakers"]["thresholds"][0]["max_retries"] == 4096


def test_held_requests_are_caught_by_those_that_serve() -> None:
    assert envoy.catching_ports(serving()) == (21001, 21002, 21003, 21004)
    assert envoy.catching_ports(with_draining(serving(), NEW, [21002, 21004])) == (21001, 21003)


def test_maintenance_says_when_to_come_back() -> None:
    *_, users = routes(maintained(serving()))
    assert users["direct_response"]["status"] == 503
    assert users["response_headers_to_add"][0]["header"] == {"key": "retry-after", "value": "10"}


def test_a_retiring_instance_is_marked_and_not_dropped() -> None:
    files = render(with_draining(serving(), OLD, [21001]))
    (assignment,) = json.loads(files[envoy.eds_file(OLD)])["resources"]
    marks = [e.get("health_status") for e in assignment["endpoints"][0]["lb_endpoints"]]
    assert marks == ["DRAINING", None]


def test_only_the_route_file_changes_with_the_weights() -> None:
    one, two = render(serving(95, 5), "7.12"), render(serving(75, 25), "7.13")
    assert {name for name in one if one[name] != two[name]} == {envoy.ROUTES}


def test_each_route_file_differs_from_the_one_before() -> None:
    """Envoy keeps the old version where only the version is new: then no write could be confirmed."""
    one, two = (json.loads(render(serving(), v)[envoy.ROUTES]) for v in ("7.12", "8.13"))
    assert one["resources"] != two["resources"]
    assert (one["version_info"], two["version_info"]) == ("7.12", "8.13")


def test_the_upstream_connection_is_closed_before_the_application_would() -> None:
    kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = clusters(serving())[OLD]["typed_extension_protocol_options"][kind]
    assert options["common_http_protocol_options"]["idle_timeout"] == "2.500s"


def test_unknown_clusters_in_routes_are_refused_by_envoy() -> None:
    (configuration,) = json.loads(render(serving())[envoy.ROUTES])["resources"]
    assert configuration["validate_clusters"] is True


def test_the_entrys_address_is_read_back_from_the_boot_file() -> None:
    text = envoy.boot(listen=("127.0.0.1", 8080), admin=Path("/a.sock"), xds=XDS, max_connections=100)
    assert envoy.listen_of(text) == ("127.0.0.1", 8080)


@pytest.mark.e2e
def test_envoy_accepts_the_boot_file(tmp_path: Path) -> None:
    xds = tmp_path / "xds"
    xds.mkdir()
    for name, text in envoy.render(serving(spill=True), version="1.1", token=TOKEN, xds=xds).items():
        (xds / name).write_text(text)
    boot = tmp_path / "boot.json"
    boot.write_text(envoy.boot(listen=("127.0.0.1", 18080), admin=tmp_path / "a", xds=xds, max_connections=100))
    command = [str(launch.find_envoy()), "--mode", "validate", "-c", str(boot)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
