"""The one error people see: what happened, why, and the next command to type.

Every code is one row of `CODES`; `docs/errors.md` is generated from it and a test refuses a code raised elsewhere.
"""

from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every `soc-deploy` command (docs/errors.md)."""

    OK = 0
    REFUSED = 1  # refused or not possible: no daemon, not entitled
    NO_CHANGE = 2  # the run failed before users saw anything; or a dry run with a failed required check
    ROLLED_BACK = 3
    OPERATOR = 4  # a person must look: the way back could not be confirmed
    NOT_OVER = 10  # watching stopped before the run ended
    USAGE = 64


@dataclass(frozen=True, slots=True)
class Code:
    meaning: str
    exit: Exit


_U, _R, _N = Exit.USAGE, Exit.REFUSED, Exit.NO_CHANGE

CODES: dict[str, Code] = {
    # the command line
    "E_LONG": Code("The line is longer than 2,000 characters.", _U),
    "E_CHARS": Code("The line holds characters that no command needs, or a placeholder that was not filled in.", _U),
    "E_QUOTE": Code("A quote is not closed.", _U),
    "E_ACTION_MISSING": Code("No action was given, and it is never guessed.", _U),
    "E_ACTION_LATER": Code("This version does not carry out that action yet.", _U),
    "E_FLAG_UNKNOWN": Code("No such flag.", _U),
    "E_FLAG_ACTION": Code("The flag does not belong to this action.", _U),
    "E_DUPLICATE": Code("One flag was given twice with different values.", _U),
    "E_VALUE": Code("The value is not one the flag takes.", _U),
    "E_VALUE_MISSING": Code("The flag needs a value.", _U),
    "E_VERSION": Code("Not a semantic version.", _U),
    "E_VERSION_MISSING": Code("A deploy needs a version.", _U),
    "E_ENV_MISSING": Code("The action needs an environment.", _U),
    "E_SERVICE_MISSING": Code("The project has several services and none was named.", _U),
    "E_SERVICE_UNKNOWN": Code("No such service in soc-deploy.yaml.", _U),
    "E_TARGET": Code("The target is no environment, version, service or stack that is known.", _U),
    "E_TARGET_MANY": Code("Two targets in one line.", _U),
    "E_CONFLICT": Code("Two words of the line say different things.", _U),
    "E_NOT_A_COMMAND": Code("The text is no command line.", _U),
    "E_USAGE": Code("The subcommand was used wrongly.", _U),
    "E_ARGUMENT": Code("A tool was called with an argument that it does not have, or of the wrong type.", _U),
    # configuration
    "E_CONFIG": Code("soc-deploy.yaml is not valid.", _U),
    "E_CONFIG_MISSING": Code("There is no soc-deploy.yaml.", _U),
    "E_CONFIG_EXISTS": Code("There is a soc-deploy.yaml already.", _R),
    "E_WRITE": Code("A file of the project could not be written safely.", _R),
    "E_QUERY": Code("A query of a check cannot be used.", _U),
    # the repository and the artifact
    "E_NO_REPOSITORY": Code("The project is no git repository.", _R),
    "E_DIRTY": Code("Tracked files have changes that the release would not contain.", _N),
    "E_REF_NOT_FOUND": Code("The version is no tag, branch or commit of the repository.", _N),
    "E_ARTIFACT_MISMATCH": Code("The artifact is not the one in the plan.", _N),
    "E_ARTIFACT": Code("The artifact could not be read.", _N),
    "E_PREPARE_FAILED": Code("Preparing the release failed.", _N),
    "E_MIGRATION_FAILED": Code("A migration failed.", _N),
    "E_MIGRATION_CHANGED": Code("A migration that was applied has changed since.", _N),
    "E_SECRET_UNRESOLVED": Code("A secret reference leads to nothing.", _N),
    # the machine
    "E_NO_ROUTER": Code("No Envoy for this machine.", _R),
    "E_UNSUPPORTED_OS": Code("The local platform does not run on this system.", _R),
    "E_HOME_UNFIT": Code("The state home cannot be used.", _R),
    "E_LISTEN_IN_USE": Code("Another process holds the entry's port.", _N),
    "E_LISTEN_PRIVILEGED": Code("A port below 1024 needs a capability.", _N),
    "E_LOW_DISK": Code("Too little disk space.", _N),
    "E_LOW_FILES": Code("Too few file descriptors.", _N),
    "E_LOW_MEMORY": Code("Too little memory.", _N),
    "E_NO_PORT": Code("No free port for an instance.", _N),
    # instances and the router
    "E_EXITED_AT_START": Code("The application ended while it started.", _N),
    "E_START_TIMEOUT": Code("The application did not become ready in time.", _N),
    "E_PORT_NOT_OWNED": Code("Another process answers on the instance's port.", _N),
    "E_SMOKE_FAILED": Code("A smoke test of the new release failed.", _N),
    "E_ROUTER_REJECTED": Code("The router refused a configuration: a defect of ours.", Exit.OPERATOR),
    "E_ROUTER_DOWN": Code("The router does not answer.", Exit.OPERATOR),
    "E_STALE_EPOCH": Code("A newer owner holds the target.", _R),
    "E_WEIGHTS": Code("The weights cannot be put into force.", Exit.OPERATOR),
    # runs
    "E_RUN_UNKNOWN": Code("No such run, or not yours.", _R),
    "E_RUN_OVER": Code("The run is over.", _R),
    "E_VERB": Code("The run cannot take that order now.", _R),
    "E_LOCKED": Code("Another run holds the target.", _N),
    "E_TESTS_MISSING": Code("No test command was found.", _N),
    "E_CHECKS": Code("A required check did not pass.", _N),
    "E_NOT_IN_LINEAGE": Code("The release never ran on this target.", _N),
    "E_NO_PREVIOUS": Code("No release to go back to.", _N),
    "E_SCHEMA_RISK": Code("A migration stands between the releases.", _N),
    "E_GOVERNANCE_REQUIRED": Code("The project wants governance, and no approver is enrolled.", _R),
    # approvals
    "E_APPROVAL_UNKNOWN": Code("Nothing with that id waits for an approval.", _U),
    "E_APPROVAL_EXPIRED": Code("The approval's time is over.", _U),
    "E_APPROVAL_USED": Code("The approval was used already.", _U),
    "E_APPROVAL_PLAN": Code("The approval is for another plan.", _U),
    "E_APPROVAL_BASELINE": Code("The target changed since the approval.", _U),
    # the store and the daemon
    "E_JOURNAL": Code("The journal cannot be written.", Exit.OPERATOR),
    "E_JOURNAL_BROKEN": Code("The journal's chain of hashes is broken.", _R),
    "E_DAEMON": Code("The daemon cannot be reached.", _R),
    "E_DAEMON_OLDER": Code("An older daemon has open runs.", _R),
    "E_DAEMON_BUSY": Code("The daemon has open runs.", _R),
    "E_DAEMON_STOPPED": Code("The daemon was stopped by hand; open runs resume when one starts.", Exit.NOT_OVER),
    "E_PROTOCOL": Code("A message was not understood.", _R),
    # clients
    "E_CLIENT": Code("No such client.", _U),
    "E_INTERNAL": Code("A defect of soc-deploy.", _R),
}


class DeployError(Exception):
    """A failure that a person can act on.

    `code` is a row of `CODES`; `what` happened; `why`; `try_` is a complete command that would parse, or several
    separated by newlines.
    """

    def __init__(self, code: str, what: str, why: str = "", try_: str = "") -> None:
        if code not in CODES:
            raise ValueError(f"{code} is no row of CODES")
        super().__init__(f"{code}: {what}")
        self.code, self.what, self.why, self.try_ = code, what, why, try_

    @property
    def exit(self) -> Exit:
        return CODES[self.code].exit

    def to_json(self) -> dict[str, str]:
        return {"code": self.code, "what": self.what, "why": self.why, "try": self.try_}

    @classmethod
    def from_json(cls, data: dict[str, str]) -> "DeployError":
        return cls(data["code"], data["what"], data.get("why", ""), data.get("try", ""))
