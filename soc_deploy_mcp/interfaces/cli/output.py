"""What the command line prints: errors with what to type, reports, JSON. Results to stdout, everything else to
stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any


def show_error(error: Mapping[str, str], as_json: bool = False) -> None:
    """What happened, why, and the next command to type."""
    error = dict(error) | {"try": _typed(error.get("try", ""))}
    if as_json:
        print(json.dumps({"error": error}, indent=2))
        return
    code = error["code"]
    lines = [f"{code}  {error['what']}"]
    if error.get("why"):
        lines.append(f"{' ' * len(code)}  {error['why']}")
    for number, line in enumerate(filter(None, error.get("try", "").splitlines())):
        lines.append(f"{'Try:' if not number else '    '} {line}")
    print("\n".join(lines), file=sys.stderr)


def _typed(text: str) -> str:
    """The grammar corrects `/soc-deploy …` as a chat takes it; a shell takes the same line without the stroke."""
    return "\n".join(line.removeprefix("/") if line.startswith("/soc-deploy") else line for line in text.splitlines())


def show_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """Progress and hints: not part of a result that somebody pipes on."""
    print(text, file=sys.stderr, flush=True)


def hints(view: Mapping[str, Any]) -> None:
    """What to type now."""
    for number, line in enumerate(view.get("next", ())):
        say(f"{'Next:' if not number else '     '} {line}")
