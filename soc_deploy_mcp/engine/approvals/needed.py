"""Who must be asked, in an installation without an approver."""

from typing import Literal

from soc_deploy_mcp.core.config.settings import Environment
from soc_deploy_mcp.core.request import Action

Need = Literal["nobody", "flag", "person"]


def needed(action: Action, environment: Environment, *, auto_approve: bool) -> Need:
    """Who says yes. Rows are tried top to bottom.

    `flag`: `--auto-approve` was typed and counts as A0, nobody was there. `person`: the run waits.
    """
    if environment == "dev":
        return "nobody"
    if action == "rollback":  # an emergency does not wait for a person
        return "nobody"
    return "flag" if auto_approve else "person"
