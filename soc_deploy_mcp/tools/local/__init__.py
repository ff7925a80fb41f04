"""One machine: processes under a supervisor, Envoy as router, a guard beside it. Makes things true and says what is;
it decides nothing about rollouts."""

from soc_deploy_mcp.tools.local.platform import LocalPlatform

__all__ = ["LocalPlatform"]
