"""Who may say yes, and how a yes is kept: asked for, given, used once. Decides nothing about the plan itself."""

from soc_deploy_mcp.engine.approvals.desk import Approvals
from soc_deploy_mcp.engine.approvals.needed import needed
from soc_deploy_mcp.engine.approvals.record import Approval, Ask

__all__ = ["Approval", "Approvals", "Ask", "needed"]
