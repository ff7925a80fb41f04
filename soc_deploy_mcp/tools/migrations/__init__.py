"""Running one declared migration, and telling whether it is still the one that ran before."""

from soc_deploy_mcp.tools.migrations.runner import Ran, checksum, run

__all__ = ["Ran", "checksum", "run"]
