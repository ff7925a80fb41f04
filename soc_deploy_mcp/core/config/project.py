"""soc-deploy.yaml as a whole: read, checked, and merged for one service on one environment.

Merge order, later wins: built-in default < top level < environments.<env> < services.<name> <
services.<name>.environments.<env> < flag.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator

from soc_deploy_mcp.core.config import yaml
from soc_deploy_mcp.core.config.service import Model, ServiceSpec
from soc_deploy_mcp.core.config.settings import (
    BUILT_IN,
    ENVIRONMENTS,
    DeploySettings,
    Environment,
    HealthChecks,
    JudgeSettings,
    Monitor,
    Notify,
    Pipeline,
)
from soc_deploy_mcp.core.errors import DeployError

_M = TypeVar("_M", bound=BaseModel)

FILE = "soc-deploy.yaml"
MERGEABLE = ("deploy", "judge", "health_checks")  # may stand at any of the four levels
ENVIRONMENT_WORDS: dict[str, Environment] = {
    "dev": "dev",
    "development": "dev",
    "staging": "staging",
    "stage": "staging",
    "prod": "prod",
    "production": "prod",
}
ACTION_WORDS = ("provision", "pipeline", "deploy", "rollback", "monitor")
SUBCOMMANDS = (
    *("serve", "daemon", "status", "journal", "logs", "demo", "completion", "pause", "resume", "promote", "abort"),
    *("report", "releases", "check", "explain", "skills", "approve", "reject", "approvers", "grants", "policy"),
    *("freeze", "stop-the-line", "audit", "advisories", "init", "doctor", "guard", "install", "uninstall", "help"),
)
_TAKEN = frozenset({*ENVIRONMENT_WORDS, *ACTION_WORDS, *SUBCOMMANDS, "infrastructure", "infra", "ci", "cicd", "ci-cd"})


class Tuning(Model):
    """The mergeable blocks, as one level of the file gives them."""

    deploy: DeploySettings = DeploySettings()
    judge: JudgeSettings = JudgeSettings()
    health_checks: HealthChecks = HealthChecks()


class EnvironmentBlock(Tuning):
    aliases: tuple[str, ...] = ()


class _File(Tuning):
    """The shape of the whole file. Services are checked apart, merged for each environment."""

    schema_: Literal[1] = Field(alias="schema", default=1)
    environments: dict[Environment, EnvironmentBlock] = {}
    services: dict[str, dict[str, Any]] = Field(min_length=1)
    notify: Notify = Notify()
    pipeline: Pipeline = Pipeline()
    monitor: Monitor = Monitor()
    governance: Literal["optional", "required"] = "optional"

    @field_validator("services")
    @classmethod
    def _names_are_free(cls, services: dict[str, Any]) -> dict[str, Any]:
        for name in services:
            if name in _TAKEN:
                raise ValueError(f"{name} is a word of the command line and cannot name a service")
            if not name or not name[0].isalpha() or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"{name!r} cannot name a service: letters, digits, - and _, a letter first")
        return services


class Settings(Tuning):
    """All that holds for one service on one environment."""

    service: str
    environment: Environment
    spec: ServiceSpec


@dataclass(frozen=True)
class Config:
    """A valid soc-deploy.yaml. `settings(service, environment)` never fails for a known service."""

    services: tuple[str, ...]
    aliases: dict[str, Environment]
    notify: Notify
    pipeline: Pipeline
    monitor: Monitor
    governance: Literal["optional", "required"]
    resolved: dict[tuple[str, Environment], Settings]

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse and check everything at once. Raises E_CONFIG naming the key and the line."""
        try:
            document = yaml.read(text)
        except yaml.YamlError as error:
            raise _error(error.line, error.problem) from None
        file = _checked(_File, document.data, document, [()])
        resolved = {
            (name, environment): _settings(document, name, environment)
            for name in file.services
            for environment in ENVIRONMENTS
        }
        aliases = {alias.lower(): env for env, block in file.environments.items() for alias in block.aliases}
        for alias, environment in aliases.items():
            if alias in _TAKEN or alias in file.services:
                raise _error(document.line(("environments", environment, "aliases")), f"alias {alias} is taken")
        return cls(
            services=tuple(file.services),
            aliases=aliases,
            notify=file.notify,
            pipeline=file.pipeline,
            monitor=file.monitor,
            governance=file.governance,
            resolved=resolved,
        )

    def settings(self, service: str, environment: Environment) -> Settings:
        return self.resolved[(service, environment)]


def _settings(document: yaml.Document, name: str, environment: Environment) -> Settings:
    service: dict[str, Any] = document.data["services"][name]
    overrides = service.get("environments") or {}
    if not isinstance(overrides, dict):
        raise _error(document.line(("services", name, "environments")), "environments: a mapping is wanted")
    for word in overrides:
        if word not in ENVIRONMENTS:
            line = document.line(("services", name, "environments", word))
            raise _error(line, f"services.{name}.environments.{word} is no environment", "dev, staging, prod")
    here: yaml.Path = ("services", name, "environments", environment)
    levels: list[tuple[yaml.Path, dict[str, Any]]] = [
        ((), {k: v for k, v in document.data.items() if k in MERGEABLE}),
        (("environments", environment), _only(_at(document.data, ("environments", environment)), MERGEABLE)),
        (("services", name), _only(service, MERGEABLE)),
        (here, _only(_at(document.data, here), MERGEABLE)),
    ]
    merged: dict[str, Any] = _plain(BUILT_IN[environment])
    for _, level in levels:
        merged = merge(merged, level)
    spec = merge(_without(service, (*MERGEABLE, "environments")), _without(_at(document.data, here), MERGEABLE))
    origins = [path for path, _ in reversed(levels)]
    tuning = _checked(Tuning, merged, document, origins)
    checked = _checked(ServiceSpec, spec, document, [here, ("services", name)])
    return Settings(
        service=name,
        environment=environment,
        spec=checked,
        deploy=tuning.deploy,
        judge=tuning.judge,
        health_checks=tuning.health_checks,
    )


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key; lists and values are replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    # An artifact names exactly one kind: an override of another kind replaces the whole mapping.
    if isinstance(over.get("artifact"), dict):
        result["artifact"] = over["artifact"]
    return result


def _at(data: Any, path: yaml.Path) -> dict[str, Any]:
    for step in path:
        data = data.get(step) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _only(data: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k in keys}


def _without(data: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k not in keys}


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    return {k: _plain(v) if isinstance(v, dict) else v for k, v in data.items()}


def _checked(model: type[_M], data: dict[str, Any], document: yaml.Document, origins: list[yaml.Path]) -> _M:
    try:
        return model.model_validate(data)
    except ValidationError as invalid:
        problem = min(invalid.errors(), key=lambda e: _line(document, origins, e["loc"]))
        location = tuple(problem["loc"])
        name = ".".join(str(p) for p in _shown(location)) or "the file"
        line = _line(document, origins, location)
        if problem["type"] == "extra_forbidden":
            close = get_close_matches(str(location[-1]), _keys_beside(model, location), 1, 0.6)
            why = f"Did you mean {close[0]}?" if close else "This version has no such key."
            raise _error(line, f"unknown key {name}", why) from None
        if problem["type"] == "missing":
            raise _error(line, f"{name} is required") from None
        message = problem["msg"].removeprefix("Value error, ")
        raise _error(line, f"{name}: {message[:1].lower()}{message[1:]}") from None


def _shown(location: tuple[int | str, ...]) -> Iterator[int | str]:
    """A location without the names pydantic adds for the members of a union."""
    return (p for p in location if not (isinstance(p, str) and (p[:1].isupper() or p in {"[key]", "schema_"})))


def _line(document: yaml.Document, origins: list[yaml.Path], location: tuple[int | str, ...]) -> int:
    """The line of a problem in merged data: in the last level of the file that gives the key."""
    path = tuple(_shown(location))
    while path:
        for origin in origins:
            if (*origin, *path) in document.lines:
                return document.lines[(*origin, *path)]
        path = path[:-1]
    return document.line(origins[-1])


def _keys_beside(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that would have been right where an unknown one stands."""
    here: Any = model
    for step in location[:-1]:
        field = getattr(here, "model_fields", {}).get(step)
        here = field.annotation if field else here
    names = getattr(here, "model_fields", None) or model.model_fields
    return [f.alias or n for n, f in names.items()] + (["environments", *MERGEABLE] if model is ServiceSpec else [])


def _error(line: int, what: str, why: str = "") -> DeployError:
    return DeployError("E_CONFIG", f"{FILE} line {line}: {what}", why, f"edit {FILE}, line {line}")
