"""Pages that are made from the code: python tests/bin/docs.py writes them, --check says whether they are up to date."""

import sys
from importlib.resources import files
from pathlib import Path

from soc_deploy_mcp.actions.deploy.machine import FOLLOWS, RESUMABLE, Standing, refusal
from soc_deploy_mcp.core.command.flags import ACTIONS, FLAGS
from soc_deploy_mcp.core.config import ENVIRONMENTS, Config, Settings
from soc_deploy_mcp.core.config.quantities import duration_text
from soc_deploy_mcp.core.errors import CODES, Exit
from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.interfaces.cli.helps import TEXTS

ENDS = {
    Exit.OK: "done: released, rolled back as asked, or a dry run with nothing in its way",
    Exit.REFUSED: "refused or not possible; nothing was started",
    Exit.NO_CHANGE: "failed, and users saw nothing of it; or a dry run with a required check that failed",
    Exit.ROLLED_BACK: "the new version was taken back",
    Exit.OPERATOR: "a person must look: the way back could not be confirmed",
    Exit.NOT_OVER: "watching stopped before the run was over: it goes on, waits, or resumes with the next daemon",
    Exit.USAGE: "wrong usage: the message says what to type",
}
VERBS = ("pause", "resume", "promote", "abort", "approve", "reject")
WINDOWS = {
    "deploy.verify_window": lambda s: duration_text(s.deploy.verify_window),
    "deploy.rollback_window (blue-green)": lambda s: duration_text(s.deploy.rollback_window),
    "deploy.bake (canary)": lambda s: duration_text(s.deploy.bake),
    "deploy.canary.min, of each step": lambda s: duration_text(s.deploy.canary.min),
    "deploy.canary.max, of each step": lambda s: duration_text(s.deploy.canary.max),
    "deploy.rolling.pause_after_first": lambda s: str(s.deploy.rolling.pause_after_first).lower(),
}
DOCS = Path(__file__).parents[2] / "docs"
NOTE = "<!-- made by tests/bin/docs.py from the code; do not edit -->\n\n"


def errors() -> str:
    rows = "".join(f"| `{code}` | {row.meaning} | {int(row.exit)} |\n" for code, row in sorted(CODES.items()))
    return (
        f"# Errors\n\n{NOTE}Every error says what happened, why, and what to type next. The last column is the exit "
        f"code of the command line. An error that ends a run gives the run's exit code instead: 2 where users saw "
        f"nothing of it, 3 where the new version was taken back.\n\n"
        f"## Exit codes\n\n| Exit | |\n|-----:|:---|\n{_exits()}\n"
        f"## Codes\n\n| Code | Meaning | Exit |\n|:-----|:--------|-----:|\n{rows}"
    )


def _exits() -> str:
    return "".join(f"| {int(code)} | {ENDS[code]} |\n" for code in Exit)


def configuration() -> str:
    example = files("soc_deploy_mcp.core.config").joinpath("example.yaml").read_text()
    seen = Config.read('services: {shop: {run: [serve, "{port}"]}}')
    per: list[Settings] = [seen.settings("shop", environment) for environment in ENVIRONMENTS]
    windows = "".join(f"| `{name}` | {' | '.join(show(s) for s in per)} |\n" for name, show in WINDOWS.items())
    return (
        f"# Configuration\n\n{NOTE}`soc-deploy init` writes a `soc-deploy.yaml` for your project. This is every key "
        "there is, with its default. A key that does not exist is refused with its line.\n\n"
        f"```yaml\n{example}```\n\n## Windows\n\nHow long a release is watched, when nothing is written:\n\n"
        f"| | {' | '.join(ENVIRONMENTS)} |\n|:---|{'---:|' * len(ENVIRONMENTS)}\n{windows}"
    )


def states() -> str:
    lines = [f"# States of a run\n\n{NOTE}`soc-deploy status RUN` shows the state. Terminal: "]
    lines[0] += ", ".join(f"`{s}`" for s in State if s.terminal) + ".\n"
    lines.append("| State | May be followed by | Orders that are taken |\n|:------|:-----|:-----|")
    for state in State:
        if not state.terminal:
            then = ", ".join(f"`{s}`" for s in State if s in FOLLOWS[state])
            taken = ", ".join(v for v in VERBS if not refusal(_standing(state), v))
            lines.append(f"| `{state}` | {then} | {taken} |")
    resumable = ", ".join(f"`{reason}`" for reason in sorted(RESUMABLE))
    lines.append(
        "\n`abort` is taken in every state: traffic goes back first, then everything else. After the judge's REJECT "
        f"there is no way forward: neither resume nor promote is taken.\n\nA paused run says why. Resume is taken for "
        f"{resumable}."
    )
    return "\n".join(lines) + "\n"


def _standing(state: State) -> Standing:
    return Standing(state, reason="operator" if state is State.PAUSED else "")


def commands() -> str:
    lines = [f"# Commands\n\n{NOTE}## The command line\n"]
    lines.append("`soc-deploy [target] --action ACTION [flags]`, the same line as `/soc-deploy …` in a chat.\n")
    lines.append("| Flag | Actions | |\n|:-----|:--------|:---|")
    for flag in FLAGS:
        actions = "all" if set(flag.actions) == set(ACTIONS) else ", ".join(flag.actions)
        lines.append(f"| `{flag.usage.replace('|', chr(92) + '|')}` | {actions} | {flag.help} |")
    lines.append("\n## Subcommands\n\n| Command | |\n|:--------|:---|")
    for usage, text in TEXTS.values():
        lines.append(f"| `soc-deploy {usage.replace('|', chr(92) + '|')}` | {text} |")
    return "\n".join(lines) + "\n"


PAGES = {"errors.md": errors, "commands.md": commands, "configuration.md": configuration, "states.md": states}


def main(argv: list[str]) -> int:
    stale = [name for name, page in PAGES.items() if not _same(DOCS / name, page())]
    if "--check" in argv:
        for name in stale:
            print(f"docs/{name} is not what the code says: python tests/bin/docs.py", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(PAGES[name]())
        print(f"wrote docs/{name}")
    return 0


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
