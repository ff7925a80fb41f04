"""No port is given twice, and none that somebody uses."""

import socket
from pathlib import Path

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.tools.local import instances, ports
from soc_deploy_mcp.tools.local.layout import Place
from tests.tools.local.builders import release


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place.of(tmp_path, Target(project="/p", service="shop", environment="dev"))
    found.make()
    return found


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> range:
    """Three ports, of which the middle one is listened on."""
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        taken = somebody.getsockname()[1]
        found = range(taken - 1, taken + 2)
        monkeypatch.setattr(ports, "INSTANCE_PORTS", found)
        monkeypatch.setattr(ports, "bindable", lambda port: port != taken)
        yield found


def test_a_port_is_reserved_by_its_directory_until_that_is_buried(place: Place, few: range) -> None:
    one, two = (instances.order(place, release(), Epoch(1)) for _ in range(2))
    assert {one.port, two.port} == {few[0], few[2]}
    with pytest.raises(DeployError) as caught:
        instances.order(place, release("v2.0.0"), Epoch(1))
    assert caught.value.code == "E_NO_PORT"
    instances.bury(one)
    assert instances.order(place, release("v2.0.0"), Epoch(1)).port == one.port


def test_a_release_does_not_come_back_to_a_port_whose_log_it_would_mix(place: Place, few: range) -> None:
    one, two = (instances.order(place, release(), Epoch(1)) for _ in range(2))
    instances.bury(one)
    instances.bury(two)
    with pytest.raises(DeployError):
        instances.order(place, release(), Epoch(1))


def test_a_port_of_another_target_is_taken_too(place: Place, few: range) -> None:
    other = Place.of(place.home, Target(project="/q", service="shop", environment="dev"))
    other.make()
    found = {instances.order(p, release(), Epoch(1)).port for p in (place, other)}
    assert len(found) == 2
