"""Words of the command line that nothing in the configuration may be called."""

import re
from typing import Final, Literal

ENVIRONMENT_WORDS: Final[dict[str, Literal["dev", "staging", "prod"]]] = {
    "dev": "dev",
    "development": "dev",
    "staging": "staging",
    "stage": "staging",
    "prod": "prod",
    "production": "prod",
}
ACTION_WORDS: Final = ("provision", "pipeline", "deploy", "rollback", "monitor")
SUBCOMMANDS: Final = (
    *("serve", "daemon", "status", "journal", "logs", "demo", "completion", "pause", "resume", "promote", "abort"),
    *("report", "releases", "check", "explain", "skills", "approve", "reject", "approvers", "grants", "policy"),
    *("freeze", "stop-the-line", "audit", "advisories", "init", "doctor", "guard", "install", "uninstall", "help"),
)
_TAKEN = frozenset({*ENVIRONMENT_WORDS, *ACTION_WORDS, *SUBCOMMANDS, "infrastructure", "infra", "ci", "cicd", "ci-cd"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


def reserved(name: str) -> bool:
    """Is it a word of the command line already?"""
    return name.lower() in _TAKEN


def unfit(name: str) -> str:
    """Why a service or an alias cannot have this name; empty when it can."""
    if reserved(name):
        return f"{name} is a word of the command line already"
    if not _NAME.fullmatch(name):
        return f"{name!r} is no name: letters, digits, - and _, a letter first, 40 at most"
    return ""
