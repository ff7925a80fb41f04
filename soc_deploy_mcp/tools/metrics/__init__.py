"""Metrics: scraping, an hour of series, PromQL over them, counts for the judge. Reads only, decides nothing."""

from soc_deploy_mcp.tools.metrics.arms import Arm, ArmCounter, ArmReading
from soc_deploy_mcp.tools.metrics.checks import check_queries
from soc_deploy_mcp.tools.metrics.local import LocalSource, Reader
from soc_deploy_mcp.tools.metrics.routers import QUERIES

__all__ = ["QUERIES", "Arm", "ArmCounter", "ArmReading", "LocalSource", "Reader", "check_queries"]
