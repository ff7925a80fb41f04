"""The table of what the command line may ask: the methods of `doors.App`, with their arguments as models."""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.model import Noun
from soc_deploy_mcp.interfaces.doors import App

_READS = ("view", "runs", "live", "report", "journal", "releases", "logs", "open_runs")
_ORDERS = ("begin", "control", "approve", "reject")  # carried to their end whatever happens to the connection
_STREAMS = ("follow",)
_FIXED = {"approve": {"channel": "terminal"}}  # what a caller may not choose
# Not here: `answer`, an answer given in a chat. Somebody at a terminal approves.


class Method(NamedTuple):
    name: str
    arguments: type[BaseModel]
    fixed: Mapping[str, Any]
    caller: bool  # takes one
    order: bool
    stream: bool

    def read(self, params: object) -> dict[str, Any]:
        """The validated keyword arguments. E_PROTOCOL names what is wrong, without repeating a value."""
        try:
            said = self.arguments.model_validate(params)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'params'}: {e['msg']}" for e in error.errors())
            raise DeployError("E_PROTOCOL", f"The arguments of {self.name} were not understood.", wrong) from None
        return {name: getattr(said, name) for name in type(said).model_fields} | dict(self.fixed)


def methods() -> dict[str, Method]:
    """By name. Built from the Protocol, so that an argument added there is known here."""
    return {name: _method(name) for name in (*_READS, *_ORDERS, *_STREAMS)}


def plain(value: Any) -> Any:
    """What a method returned, as plain JSON."""
    if isinstance(value, Noun):
        return value.to_json()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _method(name: str) -> Method:
    function = getattr(App, name)
    hints, fixed = get_type_hints(function, include_extras=True), _FIXED.get(name, {})
    fields: dict[str, Any] = {}
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.name == "caller" or parameter.name in fixed:
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    shape = create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid", strict=True), **fields)
    return Method(name, shape, fixed, "caller" in hints, name in _ORDERS, name in _STREAMS)
