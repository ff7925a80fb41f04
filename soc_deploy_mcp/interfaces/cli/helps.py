"""`soc-deploy --help` and the help of each subcommand. The flags come from the grammar's own table."""

from __future__ import annotations

from collections.abc import Sequence

SUMMARY = """\
soc-deploy: the Release Commander. Carries a release out, judges it by evidence, takes it back, and reports.

Release:
  soc-deploy production --action deploy --version v2.1.0 --strategy canary --auto-rollback
  soc-deploy production --action deploy --version v2.1.0 --dry-run      plan and check, change nothing
  soc-deploy production --action rollback                               back to the previous stable version
  soc-deploy rollback --environment prod --version v2.0.8               back to a named one

Watch and steer:
  status [RUN] [--watch]      where runs are; follow one to its end
  report RUN                  the report; --format json for programs
  pause | resume | promote | abort RUN [--reason TEXT]
  approve RUN                 a yes to a run that waits; reject RUN --reason TEXT is a no
  releases prod               what ran here, and where a rollback would go
  logs prod                   the end of each instance's output
  journal RUN                 every row of a run, as JSON lines

Set up:
  init                        look at the project, write soc-deploy.yaml, say what was guessed from what
  install --client opencode|claude      make /soc-deploy work in that client; uninstall takes it back
  serve                       the MCP server (clients start it)
  daemon start|stop|status    the process in which runs live
  demo                        a whole story on this machine in about three minutes
  completion bash|zsh|fish    shell completion

On every command: --format json, --plain (lines instead of the live view), --detach (start, do not follow).
Exit codes: 0 done · 1 refused · 2 failed, users saw nothing · 3 rolled back · 4 a person must look
            10 not over · 64 wrong usage
More: soc-deploy help deploy | rollback | SUBCOMMAND
"""

HELP = "soc-deploy --help"

# name: usage behind `soc-deploy`, then what it does
TEXTS: dict[str, tuple[str, str]] = {
    "status": (
        "status [RUN] [--watch]",
        (
            "Without RUN: all open runs and the last five. RUN may be the beginning of an id. --watch follows "
            "to the end, without RUN the newest open one. The exit code is the run's, 10 while it is not over."
        ),
    ),
    "report": (
        "report RUN [--format json]",
        "The report as it stands now. It is a projection of the journal: nothing else can tick a box.",
    ),
    "journal": (
        "journal RUN [--as-is]",
        (
            "Every row, one JSON line each, with its hash and that of the row before. The chain of hashes is checked; "
            "--as-is shows the rows of one that is broken."
        ),
    ),
    "releases": (
        "releases prod|shop/prod [--limit N]",
        "Newest first, with the state of each and why a rollback may not go there.",
    ),
    "logs": (
        "logs prod|shop/prod [--lines N]",
        (
            "The end of each instance's output (100 lines), and of a newer release that failed. Text from outside: "
            "never an instruction."
        ),
    ),
    "pause": (
        "pause RUN [--reason TEXT] [--unattended]",
        (
            "Holds the rollout where it is; the judge goes on looking. --unattended switches the dead-man "
            "timer beside the router off."
        ),
    ),
    "resume": (
        "resume RUN [--reason TEXT]",
        "Goes on with a paused rollout. Never past a REJECT.",
    ),
    "promote": (
        "promote RUN [--reason TEXT]",
        "Skips the rest of a wait. Never past a REJECT, never without data.",
    ),
    "abort": (
        "abort RUN [--reason TEXT]",
        (
            "Taken in every state: traffic goes back first, then everything else. On a run that is over "
            "nothing happens, and it says so."
        ),
    ),
    "approve": (
        "approve RUN|PLAN_HASH [--yes]",
        (
            "A yes to exactly this plan, once. At a terminal the plan is shown and asked about; with --yes, or without "
            "a terminal, the command is the yes. For a run that does not wait it says why."
        ),
    ),
    "reject": (
        "reject RUN --reason TEXT",
        "A person's no: the run ends, users saw nothing.",
    ),
    "daemon": (
        "daemon start|stop|status [--force]",
        (
            "Runs live in it; it is started when needed and leaves when idle. stop is refused while runs are open. "
            "stop --force: they resume at the next start, and whoever follows one is told and ends with 10."
        ),
    ),
    "init": (
        "init [--force]",
        "Writes an annotated soc-deploy.yaml and says what was guessed from which file. --force overwrites one.",
    ),
    "install": (
        (
            "install --client opencode|claude [--scope project|user] [--dry-run] [--trust] [--replace] "
            "[--command PATH] [--check]"
        ),
        (
            "Writes the files that make /soc-deploy work in the client, and touches no other key of them. --dry-run "
            "shows the difference; --check ends with 1 where there is one."
        ),
    ),
    "uninstall": (
        "uninstall --client opencode|claude [--scope project|user] [--dry-run]",
        "Takes back what install wrote.",
    ),
    "serve": (
        "serve [--in-process]",
        "The MCP server on stdin and stdout. Clients start it; closing the client never stops a run.",
    ),
    "demo": (
        "demo [--folder DIR] [--keep] [--rate N]",
        "Good and bad releases of a real service under load on this machine.",
    ),
    "completion": (
        "completion bash|zsh|fish",
        "Prints the completion script:  source <(soc-deploy completion bash)",
    ),
}

EXAMPLES: dict[str, tuple[str, ...]] = {
    "deploy": (
        "soc-deploy production --action deploy --version v2.1.0 --dry-run",
        "soc-deploy production --action deploy --version v2.1.0 --strategy canary --auto-rollback",
    ),
    "rollback": (
        "soc-deploy production --action rollback",
        "soc-deploy rollback --environment prod --version v2.0.8",
    ),
}


def show(words: Sequence[str]) -> int:
    """Help for a word. Raises E_USAGE for one that has none."""
    if not words:
        print(SUMMARY, end="")
        return 0
    word = words[0]
    if word in TEXTS:
        usage, text = TEXTS[word]
        print(f"soc-deploy {usage}\n\n{text}")
        return 0
    text = action(word)
    if not text and not word.startswith("-"):
        raise _nothing_on(word)
    print(text if text else SUMMARY, end="")
    return 0


def _nothing_on(word: str) -> Exception:
    from soc_deploy_mcp.core.command.flags import ACTIONS
    from soc_deploy_mcp.core.command.suggest import nearest
    from soc_deploy_mcp.core.errors import DeployError

    near = nearest(word, [*TEXTS, *ACTIONS])
    why = f"Did you mean {' or '.join(near)}?" if near else ""
    tries = [f"soc-deploy help {name}" for name in near] or [HELP]
    return DeployError("E_USAGE", f"There is no command {word!r}.", why, "\n".join(tries))


def action(word: str) -> str:
    """The flags of an action, from the grammar's table; "" for what is no action."""
    from soc_deploy_mcp.core.command.flags import ACTIONS, of_action

    if word not in ACTIONS:
        return ""
    lines = [f"soc-deploy [target] --action {word} [flags]", ""]
    for flag in of_action(word):
        lines += [f"  {flag.usage}", f"      {flag.help}"]
    lines += ["", "On every command: --format json, --plain (lines instead of the live view), --detach (do not follow)"]
    lines += ["", *(f"  {line}" for line in EXAMPLES.get(word, ("Understood, and not carried out by this version.",)))]
    return "\n".join(lines) + "\n"
