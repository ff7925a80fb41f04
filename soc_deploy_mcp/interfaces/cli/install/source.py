"""The texts that are shipped: in the package (wheel) or beside it (checkout)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from soc_deploy_mcp.core.errors import DeployError


class Texts(NamedTuple):
    command: str  # prompts/soc-deploy.md: front matter, and a body with one $ARGUMENTS


def load() -> Texts:
    """DeployError E_INTERNAL when this installation has lost its texts."""
    package = Path(str(files("soc_deploy_mcp")))
    for prompts in (package / "_texts" / "prompts", package.parent / "prompts"):
        if (prompts / "soc-deploy.md").is_file():
            return Texts((prompts / "soc-deploy.md").read_text("utf-8"))
    raise DeployError(
        "E_INTERNAL",
        "The command's text is not part of this installation.",
        f"looked in and beside {package}",
        "pip install --force-reinstall soc-deploy-mcp",
    )
