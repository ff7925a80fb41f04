"""What is shown of what was read; unknown is never shown as good."""

import pytest

from soc_deploy_mcp.core.ids import Epoch, Instant
from soc_deploy_mcp.core.platform import InstanceState
from soc_deploy_mcp.tools.local.admin import Applied, Clusters, HostSeen
from soc_deploy_mcp.tools.local.guard_client import Status, Timer
from soc_deploy_mcp.tools.local.instances import Instance
from soc_deploy_mcp.tools.local.observing import Read, instance_state, observation
from soc_deploy_mcp.tools.local.state import Mode, RouterState, with_draining
from soc_deploy_mcp.tools.local.usage import Usage
from tests.tools.local.builders import NEW, OLD, instance, serving
from tests.tools.local.builders import status as shim

GOOD = HostSeen(21001, healthy=True, draining=False, in_flight=3)
BAD = HostSeen(21001, healthy=False, draining=False, in_flight=0)


def guard(state: RouterState | None = None, timer: Timer | None = None) -> Status:
    return Status(Epoch(7), 12, "7.12", state or serving(), True, timer, None)


def read(*found: Instance, status: Status | None = None, up: bool = True) -> Read:
    hosts = {OLD: {21001: GOOD}}
    return Read(
        at=Instant(1.0),
        instances=found,
        usage={f"{OLD}-21001": Usage(0.5, 0.25, 64 * 1048576)},
        status=status,
        applied=Applied("7.12", Mode.SERVE, {OLD: 95, NEW: 5}) if up else None,
        clusters=Clusters(hosts) if up else None,
        router="envoy up",
        entry="http://127.0.0.1:8080",
    )


@pytest.mark.parametrize(
    ("changes", "host", "expected"),
    [
        ({}, GOOD, InstanceState.READY),
        ({}, BAD, InstanceState.UNREADY),
        ({}, None, InstanceState.UNREADY),  # the router cannot be asked
        ({"port": 29999, "name": "x-29999"}, None, InstanceState.STARTING),
        ({"alive": False, "status": shim(state="failed", restarts=2)}, BAD, InstanceState.FAILED),
        ({"alive": False, "status": shim(state="exited", restarts=1)}, BAD, InstanceState.EXITED),
        ({"alive": False, "supervised": False}, BAD, InstanceState.FAILED),
        ({"alive": False, "status": shim(state="exited", stopped=True)}, None, None),
        ({"alive": False, "status": shim(state="exited", stopped=True, restarts=1)}, None, InstanceState.EXITED),
        ({"alive": False, "status": None}, None, InstanceState.STARTING),
        ({"alive": False, "status": None, "supervised": False}, None, None),
    ],
)
def test_the_state_of_an_instance(
    changes: dict[str, object], host: HostSeen | None, expected: InstanceState | None
) -> None:
    assert instance_state(instance(**changes), serving(), host) is expected


def test_what_is_being_stopped_is_draining_whatever_the_router_says() -> None:
    doomed = serving().model_copy(update={"doomed": (f"{OLD}-21001",)})
    assert instance_state(instance(), doomed, GOOD) is InstanceState.DRAINING
    assert instance_state(instance(), with_draining(serving(), OLD, [21001]), GOOD) is InstanceState.DRAINING


def test_everything_known_about_an_instance_is_shown() -> None:
    seen = observation(read(instance(), status=guard()))
    (shown,) = seen.releases[OLD].instances
    assert (shown.state, shown.in_flight, shown.cpu_ratio, shown.memory_mb) == (InstanceState.READY, 3, 0.5, 64)
    assert seen.releases[OLD].version == "v1.0.0"
    assert (seen.weights, seen.mode, seen.applied, seen.epoch) == ({OLD: 95, NEW: 5}, "serve", "7.12", 7)


def test_a_release_the_router_knows_is_shown_without_instances() -> None:
    assert observation(read(status=guard())).releases[NEW].instances == ()


def test_a_silent_router_makes_the_weights_unknown() -> None:
    seen = observation(read(instance(), status=guard(), up=False))
    assert (seen.weights, seen.mode, seen.weight(OLD)) == (None, "down", None)
    assert seen.ready(OLD) == 0


def test_without_a_router_nobody_is_routed_and_that_is_known() -> None:
    seen = observation(read(up=False))
    assert (seen.weights, seen.mode, seen.epoch) == ({}, "down", 0)


def test_only_the_owners_timer_is_the_dead_man() -> None:
    lease = observation(read(status=guard(timer=Timer("lease", 12.0, {OLD: 100})))).dead_man
    assert (lease.armed, lease.remaining_s, lease.fallback) == (True, 12.0, {OLD: 100})
    hold = observation(read(status=guard(timer=Timer("hold", 5.0, {})))).dead_man
    assert (hold.armed, hold.remaining_s) == (False, None)
