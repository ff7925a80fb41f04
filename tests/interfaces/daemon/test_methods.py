"""What the command line may ask."""

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.interfaces.daemon.client import READS
from soc_deploy_mcp.interfaces.daemon.methods import methods
from soc_deploy_mcp.interfaces.doors import App

TABLE = methods()


def test_the_table_is_the_protocol_without_the_chats_own_method() -> None:
    public = {name for name, value in vars(App).items() if inspect.isfunction(value) and not name.startswith("_")}
    assert set(TABLE) == public - {"answer"}
    assert set(TABLE) >= READS - {"daemon.status"}


@pytest.mark.parametrize(
    ("name", "params", "read"),
    [
        ("begin", {"line": "prod --action deploy"}, {"line": "prod --action deploy"}),
        ("begin", {"line": ["prod", "--version", "v1"]}, {"line": ["prod", "--version", "v1"]}),
        ("follow", {"run": "run_1"}, {"run": "run_1", "after": 0}),
        ("report", {"run": "r", "form": "json"}, {"run": "r", "form": "json", "limit": None}),
        ("approve", {"run": "r"}, {"run": "r", "channel": "terminal"}),
        ("runs", {}, {}),
    ],
)
def test_arguments_are_read(name: str, params: dict[str, Any], read: dict[str, Any]) -> None:
    assert TABLE[name].read(params) == read


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("begin", {}),
        ("begin", {"line": 7}),
        ("begin", {"line": ["a", 7]}),
        ("begin", {"line": "x", "caller": {"subject": "uid:0"}}),
        ("approve", {"run": "r", "channel": "elicitation"}),
        ("control", {"run": "r", "verb": "explode"}),
        ("report", {"run": "r", "form": "html"}),
        ("logs", {"target": "t", "lines": "many"}),
        ("runs", [1]),
        ("runs", None),
    ],
)
def test_wrong_arguments_are_refused(name: str, params: Any) -> None:
    with pytest.raises(DeployError) as told:
        TABLE[name].read(params)
    assert told.value.code == "E_PROTOCOL"


@given(st.sampled_from(sorted(TABLE)), st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8)))
def test_a_refusal_repeats_no_value(name: str, params: dict[str, Any]) -> None:
    planted = "hunter2hunter2"
    with pytest.raises(DeployError) as told:
        TABLE[name].read(params | {"line": {"token": planted}, "run": {"token": planted}})
    assert planted not in str(told.value.to_json())
