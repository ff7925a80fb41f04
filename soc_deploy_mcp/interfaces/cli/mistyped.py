"""A refused line whose first word is nearly a subcommand: what was probably meant is named too."""

from __future__ import annotations

from collections.abc import Sequence

from soc_deploy_mcp.core.command.flags import ACTIONS
from soc_deploy_mcp.core.command.known import NOTHING
from soc_deploy_mcp.core.command.suggest import distance, nearest
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.interfaces.cli.helps import TEXTS

_SLIPS = 2  # letters that are wrong, missing or swapped
_SENTENCE = 4  # words without a flag: then it is a sentence, not a slip of the finger


def perhaps(words: Sequence[str], error: DeployError) -> DeployError:
    """The error with the subcommand that is nearest to the first word; the error as it is when none is near."""
    first, *rest = words
    meant = next((name for name in nearest(first, TEXTS) if distance(first.lower(), name) <= _SLIPS), None)
    if meant is None or first in ACTIONS or NOTHING.environment(first) or len(words) >= _SENTENCE:
        return error
    lines = [" ".join(("soc-deploy", meant, *rest)), *error.try_.splitlines()]
    why = " ".join(filter(None, (f"Did you mean the command {meant}?", error.why)))
    return DeployError(error.code, error.what, why, "\n".join(dict.fromkeys(lines)))
