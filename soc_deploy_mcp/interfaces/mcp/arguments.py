"""The arguments of each tool as a model that refuses what it does not know. The SDK's own drops it silently."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from soc_deploy_mcp.core.command.suggest import nearest
from soc_deploy_mcp.core.errors import DeployError


def model_of(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """From the signature that the SDK publishes too; `ctx` is the SDK's."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        parameter.name: (hints[parameter.name], ... if parameter.default is parameter.empty else parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "ctx"
    }
    return create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid", hide_input_in_errors=True), **fields)


def refusal(name: str, arguments: Mapping[str, Any], models: Mapping[str, type[BaseModel]]) -> DeployError | None:
    """Why a call cannot be made, or None. Values are not repeated: one of them may be a secret in the wrong place."""
    if (model := models.get(name)) is None:
        return DeployError("E_ARGUMENT", f"There is no tool {name[:60]}.", f"tools: {', '.join(models)}")
    fields = list(model.model_fields)
    unknown = [key for key in arguments if key not in fields]
    if unknown:
        meant = nearest(unknown[0], fields, 1)
        hint = f" Did you mean {meant[0]}?" if meant else ""
        what = f"{name} has no argument {unknown[0][:60]}.{hint}"
        return DeployError("E_ARGUMENT", what, "nothing was started", f"{name}({', '.join(fields)})")
    try:
        model.model_validate(arguments)
    except ValidationError as error:
        wrong = "; ".join(f"{_place(one['loc'])}: {one['msg']}" for one in error.errors(include_input=False))
        return DeployError("E_ARGUMENT", f"{name} was called wrongly: {wrong}.", "nothing was started")
    return None


def _place(place: tuple[int | str, ...]) -> str:
    return str(place[0]) if place else "arguments"
