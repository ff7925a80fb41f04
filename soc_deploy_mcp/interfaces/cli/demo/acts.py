"""What the demonstration shows, in order: each act is one public command line and what it should come to."""

from __future__ import annotations

from typing import NamedTuple

DEPLOY = ("production", "--action", "deploy", "--version")


class Act(NamedTuple):
    title: str
    words: tuple[str, ...]
    exit: int  # what a truthful soc-deploy answers
    bad: str = ""  # a version whose own answers may fail


ACTS: tuple[Act, ...] = (
    Act("First release", (*DEPLOY, "v1.0.0", "--auto-approve"), 0),
    Act("Blue-green, a good release", (*DEPLOY, "v1.1.0", "--strategy", "blue-green", "--auto-approve"), 0),
    Act(
        "Canary, 5 % of the answers are errors",
        (*DEPLOY, "v1.2.0", "--strategy", "canary", "--auto-rollback", "--auto-approve"),
        3,
        bad="v1.2.0",
    ),
    Act("Rolling, a good release", (*DEPLOY, "v1.3.0", "--strategy", "rolling", "--auto-approve"), 0),
    Act(
        "Canary, 300 ms slower",
        (*DEPLOY, "v1.4.0", "--strategy", "canary", "--auto-rollback", "--auto-approve"),
        3,
        bad="v1.4.0",
    ),
    Act(
        "Canary, a good release: promoted by evidence",
        (*DEPLOY, "v1.5.0", "--strategy", "canary", "--auto-rollback", "--auto-approve"),
        0,
    ),
    Act("Rollback to the previous stable version", ("production", "--action", "rollback"), 0),
    Act("A dry run", (*DEPLOY, "v1.5.0", "--strategy", "canary", "--dry-run"), 0),
)
