"""Pages that are made from the code: python tests/bin/docs.py writes them, --check says whether they are up to date."""

import sys
from pathlib import Path

from soc_deploy_mcp.core.command.flags import ACTIONS, FLAGS
from soc_deploy_mcp.core.errors import CODES
from soc_deploy_mcp.interfaces.cli.helps import TEXTS

DOCS = Path(__file__).parents[2] / "docs"
NOTE = "<!-- made by tests/bin/docs.py from the code; do not edit -->\n\n"


def errors() -> str:
    rows = "".join(f"| `{code}` | {row.meaning} | {int(row.exit)} |\n" for code, row in sorted(CODES.items()))
    return (
        f"# Errors\n\n{NOTE}Every error says what happened, why, and what to type next. The last column is the exit "
        f"code of the command line.\n\n| Code | Meaning | Exit |\n|:-----|:--------|-----:|\n{rows}"
    )


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


PAGES = {"errors.md": errors, "commands.md": commands}


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
