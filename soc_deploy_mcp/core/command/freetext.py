"""A sentence instead of a command: it is not carried out, and the nearest command line is named.

A fixed table of words, no model: the same sentence always gives the same answer.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from soc_deploy_mcp.core import version
from soc_deploy_mcp.core.command.correct import complete
from soc_deploy_mcp.core.command.flags import ACTIONS, CI_PROVIDERS, CLOUDS
from soc_deploy_mcp.core.command.infer import meaning, target_words
from soc_deploy_mcp.core.command.known import NOTHING, Known
from soc_deploy_mcp.core.command.render import render
from soc_deploy_mcp.core.command.suggest import nearest as nearest_words
from soc_deploy_mcp.core.errors import DeployError

# The first row with a word of the text wins: "undo the last deploy" is a rollback, "set up alerts" monitoring.
_ACTION_WORDS: Final[tuple[tuple[str, str], ...]] = (
    ("rollback", r"roll(?:ing)?[ -]?back|rolled back|undo|revert|back|restore|previous"),
    ("pipeline", r"pipelines?|ci|cd|ci/cd|ci-cd|workflows?|github[ -]actions|gitlab"),
    ("monitor", r"monitor(?:ing)?|alerts?|alerting|dashboards?|slos?|observability"),
    ("deploy", r"deploy(?:ing|ment)?|ship|release|launch|publish|roll(?:ing)?[ -]?out|promote|go live|push"),
    (
        "provision",
        r"provision(?:ing)?|create|set[ -]?up|infra(?:structure)?|terraform|cloudformation|vpc|databases?|cluster",
    ),
)
_STRATEGY_WORDS: Final[tuple[tuple[str, str], ...]] = (
    ("blue-green", r"blue[ -/]?green"),
    ("canary", r"canary|gradual(?:ly)?|percent|step by step"),
    ("rolling", r"rolling update|rolling|one by one"),
    ("recreate", r"recreate|with downtime|stop and start"),
)
_DRY_RUN = r"dry[ -]?run|simulate|preview|what would|without (?:executing|doing)|check only"
_AUTO_ROLLBACK = r"auto(?:matic(?:ally)?)?[ -]?(?:roll(?:ing)?[ -]?back|revert)"
_NEVER_PROPOSED: Final[tuple[tuple[str, str], ...]] = (
    ("--auto-approve", r"auto[ -]?approve|without (?:asking|approval)|no approval|don'?t ask"),
    ("--skip-tests", r"skip(?:ping)? (?:the )?tests?|without tests?|no tests"),
    ("--skip-security", r"skip(?:ping)? (?:the )?(?:security|scans?)|without (?:security|scans?)"),
    ("--break-glass", r"break[ -]?glass|override the freeze|ignore the freeze"),
    ("--accept-downtime", r"accept (?:the )?downtime"),
)
_VERSION = re.compile(r"\bv?\d+\.\d+\.\d+[0-9A-Za-z.+-]*")


@dataclass(frozen=True, slots=True)
class Proposal:
    """`form` has what is open in square brackets; `line` is complete and parses; `left_out` is for the user to add."""

    form: str
    line: str
    left_out: tuple[str, ...] = ()


def is_free_text(tokens: Sequence[str], words: Sequence[str], known: Known) -> bool:
    """No flag, two words or more, and no reading by the table of targets. One mistyped word is no free text."""
    if len(words) < 2 or any(token.startswith("-") for token in tokens):
        return False
    unknown = [word for word in words if meaning(word, known) is None]
    mistyped = len(words) == 2 and all(nearest_words(word, (*ACTIONS, *target_words(known))) for word in unknown)
    return bool(unknown) and not mistyped


def error(text: str, known: Known) -> DeployError:
    proposal = nearest(text, known)
    why = f"It reads like: {proposal.form}."
    if proposal.left_out:
        why += f" {', '.join(proposal.left_out)}: add it yourself."
    return DeployError("E_NOT_A_COMMAND", "This is a sentence, not a command line.", why, proposal.line)


def nearest(text: str, known: Known = NOTHING) -> Proposal:
    """The command line nearest to a sentence. It never holds a flag that lowers a guard."""
    lower = " ".join(text.lower().split())
    fields: dict[str, Any] = {**_first(lower, "action", _ACTION_WORDS), **_places(text, known)}
    action = fields.get("action")
    if action in ("deploy", None):
        fields |= _first(lower, "strategy", _STRATEGY_WORDS)
    if _says(lower, _DRY_RUN):
        fields["dry_run"] = True
    if _says(lower, _AUTO_ROLLBACK):
        fields |= {"action": "deploy", "auto_rollback": True}
    left_out = tuple(flag for flag, pattern in _NEVER_PROPOSED if _says(lower, pattern))
    line = render(complete(fields, action == "pipeline", known), known)
    return Proposal(_form(fields, known), line, left_out)


def _says(lower: str, pattern: str) -> bool:
    return re.search(rf"(?<![\w-])(?:{pattern})(?![\w-])", lower) is not None


def _first(lower: str, name: str, table: Sequence[tuple[str, str]]) -> dict[str, str]:
    found = next((value for value, pattern in table if _says(lower, pattern)), None)
    return {name: found} if found else {}


def _places(text: str, known: Known) -> dict[str, str]:
    """Environment, service, version and provider, as far as a word names them. The first of a kind counts."""
    fields: dict[str, str] = {}
    for word in text.split():
        bare = word.strip(".,;:!?()\"'“”‘’")
        read = meaning(bare, known)
        if isinstance(read, Mapping):
            for name in ("environment", "service", "stack"):
                if name in read:
                    fields.setdefault(name, read[name])
        if bare.lower() in (*CLOUDS, *CI_PROVIDERS):
            fields.setdefault("provider", bare.lower())
    if (match := _VERSION.search(text)) and (canonical := version.canonical(match[0].rstrip(".-+"))):
        fields["version"] = canonical
    return fields


def _form(fields: Mapping[str, Any], known: Known) -> str:
    """The line with what is open in square brackets."""
    action = fields.get("action")
    words = ["/soc-deploy", str(fields.get("environment") or "[dev|staging|prod]")]
    words += ["--action", str(action or f"[{'|'.join(ACTIONS)}]")]
    if action in ("deploy", "rollback", None) and (action != "rollback" or "version" in fields):
        words += ["--version", str(fields.get("version") or "[version]")]
    if action in ("deploy", "rollback", "monitor") and len(known.services) > 1:
        words += ["--service", str(fields.get("service") or f"[{'|'.join(known.services)}]")]
    if "strategy" in fields:
        words += ["--strategy", str(fields["strategy"])]
    words += [f"--{name.replace('_', '-')}" for name in ("auto_rollback", "dry_run") if fields.get(name)]
    return " ".join(words)
