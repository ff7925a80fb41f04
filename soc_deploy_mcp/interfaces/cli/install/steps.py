"""What is to be done with one file: decided before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from soc_deploy_mcp.interfaces.cli.install.changes import Refused
from soc_deploy_mcp.interfaces.cli.install.ledger import Entry

Word = Literal["wrote", "merged", "unchanged", "kept", "refused", "skipped", "removed", "restored"]
Disk = Mapping[str, bytes | None]  # by path; None: no such file


@dataclass(frozen=True)
class Step:
    path: str
    word: Word
    before: bytes | None = None  # None: no such file
    after: bytes | None = None
    why: str = ""
    entries: tuple[Entry, ...] = ()  # what the ledger says of this path afterwards
    blank: str | None = None  # likewise: the text with which we made the file
    backup: str = ""  # the name under which `before` is kept
    snippet: str = ""  # what to paste into a file that is left alone

    @property
    def skipped(self) -> Step:
        """The same file when another one of the client was refused: all or none."""
        return self if self.after == self.before else replace(self, word="skipped", after=self.before, why="")


def text_of(data: bytes) -> str:
    """Refused for other encodings. Line endings and a byte order mark stay in the text."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"not UTF-8 text (byte {error.start})") from None


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
