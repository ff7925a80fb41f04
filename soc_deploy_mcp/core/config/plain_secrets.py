"""A secret written into soc-deploy.yaml itself. The journal keeps every release's settings, so it must be refused."""

from collections.abc import Iterator
from typing import Any

from soc_deploy_mcp.core.config.service import ServiceSpec
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.redaction import Redactor


def refuse_secrets(service: str, spec: ServiceSpec, redactor: Redactor) -> None:
    """Raises E_CONFIG for the first value that looks like a secret; the value itself is not shown."""
    for path, shown in _texts(spec.model_dump(mode="json"), ()):
        if redactor.text(shown) != shown:
            key = ".".join(("services", service, *path))
            raise DeployError(
                "E_CONFIG",
                f"soc-deploy.yaml: {key} looks like a secret",
                "Settings are kept in the journal and shown in plans; a secret is a reference there.",
                f"put it under services.{service}.secrets as NAME: env:NAME or NAME: file:/path",
            )


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text with its place; a variable as `NAME=value`, for a name may tell what a value does not."""
    match value:
        case dict():
            for key, each in value.items():
                if path == ("env",) and not str(each).isdigit():
                    yield (*path, str(key)), f"{key}={each}"
                else:
                    yield from _texts(each, (*path, str(key)))
        case list() | tuple():
            for position, each in enumerate(value):
                yield from _texts(each, (*path, str(position)))
        case str() if path[:1] != ("secrets",):
            yield path, value
        case _:
            pass
