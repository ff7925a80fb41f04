"""The structured tools as argument lists of the command grammar: one grammar decides, whichever tool was called."""

from soc_deploy_mcp.core.errors import DeployError

_LONGEST = 200


def deploy_line(
    target: str,
    environment: str | None,
    version: str | None,
    strategy: str | None,
    auto_rollback: bool,
    dry_run: bool,
) -> list[str]:
    """DeployError E_VALUE for a value that would read as something else."""
    flags = {"--environment": environment, "--version": version, "--strategy": strategy}
    return _line("deploy", target, flags, {"--auto-rollback": auto_rollback, "--dry-run": dry_run})


def rollback_line(target: str, environment: str | None, version: str | None, dry_run: bool) -> list[str]:
    return _line("rollback", target, {"--environment": environment, "--version": version}, {"--dry-run": dry_run})


def target_of(target: str, environment: str | None) -> str:
    """`shop` and `prod` are `shop/prod`, as runs name their targets."""
    word = _word("target", target)
    return f"{word}/{environment}" if environment and environment != word else word


def _line(action: str, target: str, flags: dict[str, str | None], switches: dict[str, bool]) -> list[str]:
    line = [_word("target", target), "--action", action]
    for flag, value in flags.items():
        if value is not None:
            line += [flag, _word(flag.removeprefix("--"), value)]
    return line + [switch for switch, wanted in switches.items() if wanted]


def _word(name: str, value: str) -> str:
    """One word and no flag: `--auto-approve` must not come in as a target."""
    wrong = not value or len(value) > _LONGEST or value.startswith(("-", "–", "—", "/")) or not value.isprintable()
    if wrong or any(letter.isspace() for letter in value):
        why = "flags are arguments of their own; soc_deploy takes a whole command line"
        raise DeployError("E_VALUE", f"{name} is not one plain word.", why)
    return value
