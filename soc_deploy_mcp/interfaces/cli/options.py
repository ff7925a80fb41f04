"""Flags of the interface itself. They are taken off before the grammar reads the line: they say how to show a run,
never what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Options(NamedTuple):
    json: bool = False  # --format json
    detach: bool = False  # start, and do not follow
    plain: bool = False  # lines instead of the live view

    @property
    def live(self) -> bool:
        """May the terminal be painted? Only where somebody looks at it."""
        return not (self.json or self.plain) and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


Command = Callable[[Sequence[str], Options], int]  # a subcommand: its words, its exit code


def taken_off(argv: Sequence[str]) -> tuple[list[str], Options]:
    """The words without `--format json|text`, `--detach`, `--plain`; DeployError E_VALUE for another format."""
    words, options, skip = [], Options(), False
    for index, word in enumerate(argv):
        if skip:
            skip = False
            continue
        name, equals, value = word.partition("=")
        if name == "--format":
            value = value if equals else (argv[index + 1] if index + 1 < len(argv) else "")
            skip = not equals
            options = options._replace(json=_is_json(value))
        elif word == "--detach":
            options = options._replace(detach=True)
        elif word == "--plain":
            options = options._replace(plain=True)
        else:
            words.append(word)
    return words, options


def _is_json(value: str) -> bool:
    if value in ("json", "text"):
        return value == "json"
    from soc_deploy_mcp.core.errors import DeployError

    raise DeployError("E_VALUE", f"--format takes json or text, not {value!r}.", "", "soc-deploy status --format json")
