"""The annotated example is complete and true: it names every key, and the defaults in its comments are the models'."""

import re
from importlib import resources
from typing import get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from soc_deploy_mcp.core.config import Config, yaml
from soc_deploy_mcp.core.config import project as shapes
from soc_deploy_mcp.core.config.service import ServiceSpec
from soc_deploy_mcp.core.config.settings import BUILT_IN

TEXT = resources.files("soc_deploy_mcp.core.config").joinpath("example.yaml").read_text("utf-8")
DOCUMENT = yaml.read(TEXT)
ANY = object()  # stands for a name or a position


def models_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def keys_of(model, path):
    """Every path of keys of a model; list items and names of mappings are ANY."""
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        yield here
        inner = (*here, ANY) if get_origin(field.annotation) in (dict, tuple) else here
        for member in models_in(field.annotation):
            yield from keys_of(member, inner)


def every_key():
    """Of the whole file: the mergeable blocks at the top, a service's keys below `services`."""
    top = set(keys_of(shapes.Tuning, ())) | {("services",), ("environments",)}
    for name in ("notify", "pipeline", "monitor", "governance"):
        top |= {path for path in keys_of(shapes._File, ()) if path[0] == name}
    top |= {("environments", ANY, *path) for path in keys_of(shapes.EnvironmentBlock, ())}
    return top | {("schema",)} | {("services", ANY, *path) for path in keys_of(ServiceSpec, ())}


def matches(path, pattern):
    return len(path) == len(pattern) and all(b is ANY or a == b for a, b in zip(path, pattern, strict=True))


def test_it_is_valid():
    config = Config.read(TEXT)
    assert config.services == ("shop", "docs", "legacy")
    assert config.settings("shop", "prod").spec.instances == 3


def test_it_names_every_key_of_this_version():
    missing = [pattern for pattern in every_key() if not any(matches(path, pattern) for path in DOCUMENT.lines)]
    assert not missing


def default_of(path):
    """The model's default at a path of the file, as JSON; PydanticUndefined where there is none."""
    if path[0] == "services":
        spec = ServiceSpec(run=("x", "{port}")).model_dump(mode="json", by_alias=True)
        return dig(spec, ServiceSpec, path[2:])
    if path[0] == "environments":
        return dig({}, shapes._File, path)
    if path[0] in shapes.MERGEABLE:
        return dig(shapes.Tuning().model_dump(mode="json"), shapes.Tuning, path)
    return dig({}, shapes._File, path)


def dig(defaults, model, path):
    for step in path:
        if isinstance(defaults, dict) and step in defaults:
            defaults = defaults[step]
        else:
            return field_default(model, path)
    return defaults


def field_default(model, path):
    """Where a list is empty by default: what one item's model says."""
    here, default = [model], PydanticUndefined
    for step in path:
        fields = [f for kind in here for name, f in kind.model_fields.items() if step in (name, f.alias)]
        if fields:
            default = fields[0].default
            here = [inner for f in fields for inner in models_in(f.annotation)]
    return default.model_dump(mode="json") if isinstance(default, BaseModel) else default


def commented():
    """(path, default, defaults of environments) for every line whose comment states one."""
    by_line = {}
    for path, line in DOCUMENT.lines.items():
        if isinstance(path[-1], str) and len(path) < len(by_line.get(line, (*path, ANY))):
            by_line[line] = path
    for number, line in enumerate(TEXT.split("\n"), 1):
        if "default: " not in line or line.lstrip().startswith("#"):
            continue
        path = by_line[number]
        told, *others = line.rpartition("default: ")[2].split("; ")
        value = DOCUMENT.data
        for step in path:
            value = value[step]
        if isinstance(value, dict) and list(value) == ["target"]:
            path = (*path, "target")
        shown = re.match(r'\[\]|\{\}|\[.*\]|".*"|[^,]+', told)[0]
        environments = dict(part.split(": ") for other in others for part in other.split(", "))
        yield path, yaml.read(f"x: {shown}").data["x"], environments


STATED = list(commented())


def plain(value):
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("path", "told"), [(path, told) for path, told, _ in STATED], ids=str)
def test_a_default_in_a_comment_is_the_default(path, told):
    assert plain(default_of(path)) == told


def test_defaults_that_differ_by_environment_are_told():
    told = {}
    for path, _, environments in STATED:
        for environment, text in environments.items():
            told[(environment, *path)] = yaml.read(f"x: {text}").data["x"]
    built = {}
    for environment, block in BUILT_IN.items():
        settings = Config.read(TEXT.split("environments:")[0] + 'services: {x: {run: ["{port}"]}}')
        dumped = settings.settings("x", environment).model_dump(mode="json")
        for path in keys_in(block):
            value, default = dumped, default_of(path)
            for step in path:
                value = value[step]
            if value != default:
                built[(environment, *path)] = value
    assert told == built


def keys_in(block, path=()):
    for key, value in block.items():
        if isinstance(value, dict):
            yield from keys_in(value, (*path, key))
        else:
            yield (*path, key)


def test_what_is_required_is_said():
    required = [line for line in TEXT.split("\n") if re.search(r"# .*\brequired\b", line) and ":" in line.split("#")[0]]
    keys = {line.split(":")[0].strip(" -") for line in required} - {"governance"}
    assert keys == {"path", "id", "run", "name", "kind", "url"}
