"""Envoy 1.40's answers, recorded: one instance draining, one dead, one busy, a spill-over."""

from pathlib import Path

import pytest

from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.tools.local import admin
from soc_deploy_mcp.tools.local.admin import HostSeen
from soc_deploy_mcp.tools.local.state import Mode

RECORDED = Path(__file__).parent / "recorded"
OLD, NEW = Slug("v1_0_0-5acfcc3f"), Slug("v2_0_0-140bf60e")
ROUTES = (RECORDED / "routes.json").read_bytes()


@pytest.fixture
def clusters() -> admin.Clusters:
    return admin.parse_clusters((RECORDED / "clusters.json").read_bytes())


def test_the_weights_in_force_are_those_of_users_by_release() -> None:
    assert admin.parse_applied(ROUTES) == admin.Applied("1.9", Mode.SERVE, {OLD: 95, NEW: 5})


def test_before_the_first_routes_nothing_is_in_force() -> None:
    assert admin.parse_applied(b"{}") is None
    assert admin.parse_applied(b'{"configs": [{"version_info": "1"}]}') is None


def test_hold_and_maintenance_have_no_weights() -> None:
    def last(route: bytes) -> bytes:
        return b'{"configs":[{"route_config":{"virtual_hosts":[{"routes":[%s]}]}}]}' % route

    hold = admin.parse_applied(last(b'{"route": {"cluster": "hold"}}'))
    closed = admin.parse_applied(last(b'{"direct_response": {"status": 503}}'))
    assert hold is not None
    assert closed is not None
    assert (hold.mode, hold.weights) == (Mode.HOLD, {})
    assert (closed.mode, closed.weights) == (Mode.MAINTENANCE, {})


def test_a_draining_instance_is_neither_ready_nor_gone(clusters: admin.Clusters) -> None:
    assert clusters.host(OLD, 22907) == HostSeen(22907, healthy=False, draining=True, in_flight=0)
    assert clusters.ready_ports(OLD) == {23679}


def test_a_dead_instance_is_not_ready(clusters: admin.Clusters) -> None:
    dead = clusters.host(NEW, 27631)
    assert dead is not None
    assert not dead.healthy
    assert clusters.ready_ports(NEW) == {21923}


def test_running_requests_are_counted_and_a_left_out_value_is_zero(clusters: admin.Clusters) -> None:
    assert {port: host.in_flight for port, host in clusters.hosts[NEW].items()} == {21923: 1, 27631: 0}


def test_an_unknown_release_has_nothing(clusters: admin.Clusters) -> None:
    assert clusters.host(Slug("v9-0"), 1) is None
    assert clusters.ready_ports(Slug("v9-0")) == set()


def test_a_spill_over_is_a_cluster_without_hosts_of_its_own(clusters: admin.Clusters) -> None:
    assert clusters.hosts[f"{NEW}+"] == {}
