"""The contract everybody reads: a pure projection of a run's journal, and renderers that add nothing."""

from soc_deploy_mcp.core.report.markdown import markdown
from soc_deploy_mcp.core.report.model import Report
from soc_deploy_mcp.core.report.project import project

__all__ = ["Report", "markdown", "project"]
