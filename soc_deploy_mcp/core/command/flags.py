"""FLAGS: the one list of what a command line may say. Help texts, shell completion and schemas are read from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

ACTIONS: Final = ("provision", "pipeline", "deploy", "rollback", "monitor")
CLOUDS: Final = ("aws", "gcp", "azure")
CI_PROVIDERS: Final = (
    *("github-actions", "gitlab-ci", "circleci", "azure-pipelines", "bitbucket", "buildkite", "jenkins"),
)

Kind = Literal["switch", "choice", "environment", "version", "service", "name", "text"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. A `switch` takes no value, a `choice` one of its values; the other kinds say what they take."""

    name: str  # without the dashes
    kind: Kind
    actions: tuple[str, ...]
    help: str
    values: tuple[str, ...] = ()  # for completion and for `choice`; narrower for some actions below
    by_action: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    metavar: str = ""
    least: int = 1  # characters of a text

    @property
    def spelled(self) -> str:
        return f"--{self.name}"

    @property
    def field(self) -> str:
        """The field of Request that it sets."""
        return self.name.replace("-", "_")

    @property
    def takes_value(self) -> bool:
        return self.kind != "switch"

    def choices(self, action: str | None) -> tuple[str, ...]:
        """What it takes with this action; every value when the action is not known."""
        return self.by_action.get(action or "", self.values)

    @property
    def usage(self) -> str:
        """`--strategy [blue-green|canary|rolling|recreate]`, `--version SEMVER`, `--dry-run`."""
        if not self.takes_value:
            return self.spelled
        return f"{self.spelled} {self.metavar or '[' + '|'.join(self.values) + ']'}"


_ENVIRONMENTS = ("dev", "staging", "prod")
_STRATEGIES = ("blue-green", "canary", "rolling", "recreate")
_INFRASTRUCTURE = ("provision", "pipeline", "monitor")

FLAGS: Final[tuple[Flag, ...]] = (
    Flag(
        "action",
        "choice",
        ACTIONS,
        "What to do. Mandatory, unless the action stands as a word of its own.",
        values=ACTIONS,
    ),
    Flag(
        "environment",
        "environment",
        ACTIONS,
        "Where. Required for deploy, rollback and provision, unless the target names it.",
        values=_ENVIRONMENTS,
    ),
    Flag(
        "version",
        "version",
        ("deploy", "rollback"),
        "The version to deploy, such as v2.1.0. A rollback without one goes to the previous stable version.",
        metavar="SEMVER",
    ),
    Flag(
        "strategy",
        "choice",
        ("deploy", "rollback"),
        "How the version is rolled out (default: rolling). A rollback reverses the last deploy and is never a canary.",
        values=_STRATEGIES,
        by_action={"rollback": ("blue-green", "rolling", "recreate")},
    ),
    Flag(
        "service",
        "service",
        ("deploy", "rollback", "monitor"),
        "Which service of soc-deploy.yaml; needed only when there are several.",
        metavar="NAME",
    ),
    Flag("dry-run", "switch", ACTIONS, "Plan and check, and change nothing."),
    Flag("auto-rollback", "switch", ("deploy",), "Go back without asking when the release turns out to be bad."),
    Flag("auto-approve", "switch", ACTIONS, "Do not wait for a person's yes; the report says so."),
    Flag(
        "skip-tests",
        "switch",
        ("pipeline", "deploy"),
        "Emergency only: do not demand passing tests; the report's box stays open.",
    ),
    Flag(
        "skip-security",
        "switch",
        ("deploy", "provision"),
        "Emergency only: no security veto; the report says HIGH RISK.",
    ),
    Flag("accept-downtime", "switch", ("deploy", "rollback"), "Accept the downtime of --strategy recreate by name."),
    Flag("accept-schema-risk", "switch", ("rollback",), "Go back across a migration that cannot be undone."),
    Flag(
        "on-conflict",
        "choice",
        ("deploy",),
        "What to do when another run holds the target. This version refuses the second one.",
        values=("reject",),
    ),
    Flag(
        "provider",
        "choice",
        _INFRASTRUCTURE,
        "The cloud to provision, or the CI system to write a pipeline for.",
        values=(*CLOUDS, *CI_PROVIDERS),
        by_action={"provision": CLOUDS, "monitor": CLOUDS, "pipeline": CI_PROVIDERS},
    ),
    Flag("region", "name", _INFRASTRUCTURE, "The cloud's region, such as us-east-1.", metavar="REGION"),
    Flag(
        "break-glass",
        "text",
        ("provision", "deploy", "rollback"),
        "Emergency reason, 20 characters or more. Needs a governed installation; refused in any other.",
        metavar="TEXT",
        least=20,
    ),
    Flag("reason", "text", ACTIONS, "Why: stored with the run and shown.", metavar="TEXT"),
)

BY_NAME: Final[Mapping[str, Flag]] = {flag.name: flag for flag in FLAGS}
BY_FIELD: Final[Mapping[str, Flag]] = {flag.field: flag for flag in FLAGS}


def of_action(action: str) -> tuple[Flag, ...]:
    return tuple(flag for flag in FLAGS if action in flag.actions)
