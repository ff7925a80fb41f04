"""Reading the project's git repository. Nothing here writes to it, runs its hooks or asks a network."""

from soc_deploy_mcp.tools.git.reader import Reader, Resolved
from soc_deploy_mcp.tools.git.tags import Tag

__all__ = ["Reader", "Resolved", "Tag"]
