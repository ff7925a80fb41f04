"""From data to models, and from what pydantic found wrong to one sentence with a key and a line."""

import types
import typing
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from soc_deploy_mcp.core.config import yaml
from soc_deploy_mcp.core.config.service import PATTERNS
from soc_deploy_mcp.core.errors import DeployError

FILE: Final = "soc-deploy.yaml"

_M = TypeVar("_M", bound=BaseModel)

_MAPPING, _LIST = "a mapping of keys is wanted", "a list is wanted, such as [a, b]"
_WORDS: Final = {
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "string_type": "text is wanted; put a number or true in quotes",
    "string_too_short": "it is empty",
    "int_type": "a whole number is wanted",
    "int_from_float": "a whole number is wanted",
    "float_type": "a number is wanted",
    "bool_type": "true or false is wanted",
    "finite_number": "a finite number is wanted",
    "too_short": "it is empty",
}
_MEMBERS: Final = frozenset({"GitArtifact", "DirArtifact", "TarballArtifact", "[key]"})


def error(line: int, what: str, why: str = "") -> DeployError:
    return DeployError("E_CONFIG", f"{FILE} line {line}: {what}", why, f"edit {FILE}, line {line}")


def checked(model: type[_M], data: dict[str, Any], document: yaml.Document, origins: list[yaml.Path]) -> _M:
    """A valid model, or E_CONFIG for the problem that stands first in the file.

    `origins` are the places of the file that `data` was merged from, the winning one first.
    """
    try:
        return model.model_validate(data)
    except ValidationError as invalid:
        problem = min(invalid.errors(), key=lambda e: _rank(document, origins, e))
    location = problem["loc"]
    origin, line = _place(document, origins, location)
    name = ".".join(str(step) for step in (*origin, *_shown(location))) or "the file"
    match problem["type"]:
        case "extra_forbidden":
            close = get_close_matches(str(location[-1]), _keys_beside(model, location), 1, 0.6)
            why = f"Did you mean {close[0]}?" if close else "This version has no such key."
            raise error(line, f"unknown key {name}", why)
        case "missing":
            raise error(line, f"{name} is required")
    raise error(line, f"{name}: {_sentence(problem)}")


def _rank(document: yaml.Document, origins: list[yaml.Path], problem: ErrorDetails) -> tuple[int, bool]:
    """First in the file; on one line an unknown key comes before the key that is missing because of it."""
    return _place(document, origins, problem["loc"])[1], problem["type"] != "extra_forbidden"


def _sentence(problem: ErrorDetails) -> str:
    """Never the value itself: it may be a secret in the wrong place."""
    context = problem.get("ctx", {})
    if problem["type"] == "literal_error":
        choices = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        return f"one of {choices} is wanted" if "," in choices else f"this version takes {choices} only"
    if problem["type"] == "string_pattern_mismatch":
        return PATTERNS.get(str(context["pattern"]), "it does not look right")
    if problem["type"] == "value_error":
        return str(context["error"])
    return _WORDS.get(problem["type"]) or problem["msg"].replace("Input should be", "it must be")


def _shown(location: tuple[int | str, ...]) -> Iterator[int | str]:
    """A location without the names pydantic adds for the members of a union."""
    return (step for step in location if step not in _MEMBERS)


def _place(document: yaml.Document, origins: list[yaml.Path], location: tuple[int | str, ...]) -> tuple[yaml.Path, int]:
    """Where a problem of merged data stands: the last level of the file that gives the key, and its line."""
    path = tuple(_shown(location))
    while path:
        for origin in origins:
            if (*origin, *path) in document.lines:
                return origin, document.lines[(*origin, *path)]
        path = path[:-1]
    return origins[-1], document.line(origins[-1])


def _keys_beside(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that would have been right where an unknown one stands."""
    here: list[Any] = [model]
    for step in location[:-1]:
        here = [inner for kind in here for inner in _inside(kind, step)]
    models = [kind for kind in here if isinstance(kind, type) and issubclass(kind, BaseModel)]
    names = [field.alias or name for kind in models for name, field in kind.model_fields.items()]
    return list(dict.fromkeys(names))


def _inside(kind: Any, step: int | str) -> Iterator[Any]:
    """The types that stand one step of a location inside a type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields.items()
        yield from (_bare(field.annotation) for name, field in fields if step in (name, field.alias))
    elif origin in (typing.Union, types.UnionType):
        named = [_bare(member) for member in inner if getattr(_bare(member), "__name__", "") == step]
        yield from named or (found for member in inner for found in _inside(_bare(member), step))
    elif origin in (dict, tuple, list):
        yield _bare(inner[1] if origin is dict else inner[0])


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation
