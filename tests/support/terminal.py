"""A line typed at a terminal, by somebody who says yes when asked."""

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

QUESTION = "Approve? [y/N]"
_PAINT = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Typed:
    line: str
    exit: int
    shown: str  # all that the terminal showed, without colours and cursor movements

    @property
    def status(self) -> str:
        found = re.findall(r"Status\W+(✅ SUCCESS|❌ FAILED|⚠️ ROLLBACK)", self.shown)
        assert found, self
        return str(found[-1])

    def __repr__(self) -> str:
        return f"$ {self.line}  (exit {self.exit})\n{self.shown}"


def typed(line: str, folder: Path, environ: Mapping[str, str], within_s: float = 400) -> Typed:
    """Run a line of shell in a terminal of its own; `Approve?` is answered with y."""
    screen, keyboard = pty.openpty()
    process = subprocess.Popen(
        ["sh", "-c", line], cwd=folder, env={"TERM": "xterm", **environ}, stdin=keyboard, stdout=keyboard,
        stderr=keyboard, start_new_session=True,
    )  # fmt: skip
    os.close(keyboard)
    shown, end, answered = "", time.monotonic() + within_s, 0
    try:
        while piece := _read(screen, end):
            shown += piece
            if shown.count(QUESTION) > answered:
                answered += 1
                os.write(screen, b"y\n")
        code = process.wait(max(1.0, end - time.monotonic()))
    finally:
        process.kill()
        os.close(screen)
    return Typed(line, code, _PAINT.sub("", shown))


def _read(screen: int, end: float) -> str:
    """What it shows next; "" when nobody writes to it any more."""
    left = end - time.monotonic()
    assert left > 0, "it lasts too long"
    assert select.select([screen], [], [], left)[0], "the terminal is silent"
    try:
        return os.read(screen, 65_536).decode(errors="replace")
    except OSError:  # EIO: the other side is closed
        return ""
