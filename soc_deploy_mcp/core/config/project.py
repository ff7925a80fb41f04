"""soc-deploy.yaml as a whole: read, checked, and merged for one service on one environment.

Merge order, later wins: built-in default < top level < environments.<env> < services.<name> <
services.<name>.environments.<env> < flag.
"""

from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import Field, field_validator

from soc_deploy_mcp.core.config import yaml
from soc_deploy_mcp.core.config.service import Count, Model, ServiceSpec
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
from soc_deploy_mcp.core.config.validity import FILE, checked, error
from soc_deploy_mcp.core.config.words import unfit

__all__ = ["FILE", "MERGEABLE", "Config", "EnvironmentBlock", "Settings", "Tuning", "merge"]

MERGEABLE = ("deploy", "judge", "health_checks")  # may stand at any of the four levels


class Tuning(Model):
    """The mergeable blocks, merged."""

    deploy: DeploySettings = DeploySettings()
    judge: JudgeSettings = JudgeSettings()
    health_checks: HealthChecks = HealthChecks()


class _Level(Model):
    """The mergeable blocks as one level gives them: half of a pair of settings may stand on another level, so what
    they hold is checked after merging."""

    deploy: dict[str, Any] = {}
    judge: dict[str, Any] = {}
    health_checks: dict[str, Any] = {}


class EnvironmentBlock(_Level):
    aliases: tuple[str, ...] = ()

    @field_validator("aliases")
    @classmethod
    def _are_words(cls, aliases: tuple[str, ...]) -> tuple[str, ...]:
        if problem := next(filter(None, map(unfit, aliases)), ""):
            raise ValueError(problem)
        return aliases


class _File(_Level):
    """The shape of the whole file. Services are checked apart, merged for each environment."""

    schema_: Count = Field(alias="schema", default=1)
    environments: dict[Environment, EnvironmentBlock] = {}
    services: dict[str, dict[str, Any]] = Field(min_length=1)
    notify: Notify = Notify()
    pipeline: Pipeline = Pipeline()
    monitor: Monitor = Monitor()
    governance: Literal["optional", "required"] = "optional"

    @field_validator("schema_")
    @classmethod
    def _is_ours(cls, schema: int) -> int:
        if schema != 1:
            raise ValueError("this version reads schema 1")
        return schema


class _Overrides(Model):
    """`services.<name>.environments`: which ones there may be. What they hold is checked after merging."""

    environments: dict[Environment, dict[str, Any] | None] = {}


class Settings(Tuning):
    """All that holds for one service on one environment."""

    service: str
    environment: Environment
    spec: ServiceSpec


@dataclass(frozen=True)
class Config:
    """A valid soc-deploy.yaml. `settings(service, environment)` never fails for a known service."""

    services: tuple[str, ...]
    aliases: dict[str, Environment]  # in lower case
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
        except yaml.YamlError as bad:
            raise error(bad.line, bad.problem) from None
        file = checked(_File, document.data, document, [()])
        _refuse_service_names(document, file)
        resolved = {
            (name, environment): _settings(document, name, environment)
            for name in file.services
            for environment in ENVIRONMENTS
        }
        return cls(
            services=tuple(file.services),
            aliases=_aliases(document, file),
            notify=file.notify,
            pipeline=file.pipeline,
            monitor=file.monitor,
            governance=file.governance,
            resolved=resolved,
        )

    def settings(self, service: str, environment: Environment) -> Settings:
        return self.resolved[(service, environment)]


def _refuse_service_names(document: yaml.Document, file: _File) -> None:
    seen: dict[str, str] = {}
    for name in file.services:
        line = document.line(("services", name))
        if problem := unfit(name):
            raise error(line, f"services.{name}: {problem}")
        if other := seen.get(name.lower()):
            raise error(line, f"services.{name} and services.{other} differ in case only")
        seen[name.lower()] = name


def _aliases(document: yaml.Document, file: _File) -> dict[str, Environment]:
    taken = {name.lower(): f"the service {name}" for name in file.services}
    aliases: dict[str, Environment] = {}
    for environment, block in file.environments.items():
        for index, alias in enumerate(block.aliases):
            word = alias.lower()
            if aliases.get(word, environment) != environment or word in taken:
                line = document.line(("environments", environment, "aliases", index))
                other = taken.get(word) or aliases[word]
                raise error(line, f"environments.{environment}.aliases: {alias} is {other} already")
            aliases[word] = environment
    return aliases


def _settings(document: yaml.Document, name: str, environment: Environment) -> Settings:
    here: yaml.Path = ("services", name, "environments", environment)
    service = _as_spelled(document, ("services", name))
    places = {"environments": service["environments"]} if "environments" in service else {}
    checked(_Overrides, places, document, [("services", name)])
    levels: list[tuple[yaml.Path, dict[str, Any]]] = [
        ((), document.data),
        (("environments", environment), _at(document.data, ("environments", environment))),
        (("services", name), service),
        (here, _as_spelled(document, here)),
    ]
    merged: dict[str, Any] = _plain(BUILT_IN[environment])
    for _, level in levels:
        merged = merge(merged, {key: value for key, value in level.items() if key in MERGEABLE})
    spec = merge(_without(service, (*MERGEABLE, "environments")), _without(levels[-1][1], MERGEABLE))
    tuning = checked(Tuning, merged, document, [path for path, _ in reversed(levels)])
    return Settings(
        service=name,
        environment=environment,
        spec=checked(ServiceSpec, spec, document, [here, ("services", name)]),
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


def _as_spelled(document: yaml.Document, path: yaml.Path) -> dict[str, Any]:
    """A level with the values of `env` as they stand in the file: 3.10 is no 3.1 there, and true is a text."""
    level = _at(document.data, path)
    if not isinstance(env := level.get("env"), dict):
        return level
    return level | {"env": {key: document.spelled.get((*path, "env", key), value) for key, value in env.items()}}


def _without(data: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k not in keys}


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    return {k: _plain(v) if isinstance(v, dict) else v for k, v in data.items()}
