"""Arguments of subcommands, with our own words for what is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn


def counted(text: str) -> int:
    """A number of 1 or more."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return number


class Arguments(argparse.ArgumentParser):
    """An argparse parser that raises E_USAGE instead of printing and leaving. Abbreviations are not taken."""

    def __init__(self, name: str, usage: str) -> None:
        super().__init__(prog=f"soc-deploy {name}", add_help=False, allow_abbrev=False)
        self._line = f"soc-deploy {usage}"

    def error(self, message: str) -> NoReturn:
        from soc_deploy_mcp.core.errors import DeployError

        raise DeployError("E_USAGE", f"{self.prog}: {message}.", "", f"{self._line}\n{self.prog} --help")

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        return self.parse_args(list(words))
