"""The registry of pure checks: (facts, plan) -> Check. One file an area."""

from soc_deploy_mcp.personas.checks import gate, health, permission, validate
from soc_deploy_mcp.personas.checks.registry import REGISTRY, Case

__all__ = ["REGISTRY", "Case", "gate", "health", "permission", "validate"]
