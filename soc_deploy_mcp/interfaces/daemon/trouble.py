"""Errors on the client's side of the socket. The table of errors imports `dataclasses`, a third of the shim's whole
start, so it is loaded when there is something to say and not before."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from soc_deploy_mcp.core.errors import DeployError


def trouble(code: str, what: str, why: str = "", try_: str = "") -> DeployError:
    """The error to raise; its arguments are those of `DeployError`. A code this version does not know is E_DAEMON."""
    from soc_deploy_mcp.core.errors import CODES, DeployError

    return DeployError(code if code in CODES else "E_DAEMON", what, why, try_)


def one_line(error: DeployError) -> str:
    """For stderr, where a client shows one line at most."""
    parts = (f"{error.code} {error.what}", error.why, f"Try: {error.try_}" if error.try_ else "")
    return "soc-deploy: " + "  ".join(" ".join(part.split()) for part in parts if part)
