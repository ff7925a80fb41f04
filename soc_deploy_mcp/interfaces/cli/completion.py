"""Shell completion, generated from the tables that the command line is read by."""

from __future__ import annotations

from collections.abc import Sequence

from soc_deploy_mcp.interfaces.cli.arguments import Arguments
from soc_deploy_mcp.interfaces.cli.options import Options

SHELLS = ("bash", "zsh", "fish")


def run(words: Sequence[str], options: Options) -> int:
    arguments = Arguments("completion", "completion bash|zsh|fish")
    arguments.add_argument("shell", choices=SHELLS)
    print(script(arguments.read(words).shell), end="")
    return 0


def script(shell: str) -> str:
    """The script of one shell. First words, flags, and the values of flags that have a fixed set."""
    first = [*_subcommands(), "dev", "staging", "production"]
    if shell == "fish":
        return _fish(first)
    body = _bash(first)
    return f"autoload -U +X bashcompinit && bashcompinit\n{body}" if shell == "zsh" else body


def _subcommands() -> list[str]:
    from soc_deploy_mcp.interfaces.cli.helps import TEXTS

    return sorted(TEXTS)


def _values() -> dict[str, tuple[str, ...]]:
    from soc_deploy_mcp.core.command.flags import FLAGS

    return {flag.spelled: flag.values for flag in FLAGS if flag.values} | {"--format": ("json", "text")}


def _flags() -> list[str]:
    from soc_deploy_mcp.core.command.flags import FLAGS

    return [*(flag.spelled for flag in FLAGS), "--format", "--detach", "--plain", "--help"]


def _bash(first: list[str]) -> str:
    cases = "\n".join(
        f'    {flag}) COMPREPLY=($(compgen -W "{" ".join(values)}" -- "$word")); return ;;'
        for flag, values in _values().items()
    )
    return f"""\
_soc_deploy() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
  case "$before" in
{cases}
  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "{" ".join(_flags())}" -- "$word"))
  elif [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W "{" ".join(first)}" -- "$word"))
  fi
}}
complete -F _soc_deploy soc-deploy
"""


def _fish(first: list[str]) -> str:
    lines = [f"complete -c soc-deploy -n __fish_use_subcommand -f -a '{' '.join(first)}'"]
    values = _values()
    for flag in _flags():
        known = f" -x -a '{' '.join(values[flag])}'" if flag in values else ""
        lines.append(f"complete -c soc-deploy -l {flag.removeprefix('--')}{known}")
    return "\n".join(lines) + "\n"
