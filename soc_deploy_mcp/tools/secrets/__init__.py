"""Secret references become values here, in the step that needs them, and nowhere else.

No value leaves without being registered with the redactor first.
"""

from soc_deploy_mcp.tools.secrets.references import Secrets

__all__ = ["Secrets"]
