"""soc-deploy.yaml: models, reading with line numbers, merging. Pure: text in, typed settings out."""

from soc_deploy_mcp.core.config.project import Config, Settings
from soc_deploy_mcp.core.config.service import ServiceSpec
from soc_deploy_mcp.core.config.settings import ENVIRONMENTS, STRATEGIES, Environment, Strategy

__all__ = ["ENVIRONMENTS", "STRATEGIES", "Config", "Environment", "ServiceSpec", "Settings", "Strategy"]
