"""A project, a home directory and a state home for one test, and the command in them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.interfaces.cli.install import command
from soc_deploy_mcp.interfaces.cli.options import Options


class Sites:
    def __init__(self, root: Path) -> None:
        self.root, self.project, self.home, self.state = root, root / "project", root / "home", root / "state"
        self.bin = root / "bin"
        for folder in (self.project / ".git", self.home, self.bin):
            folder.mkdir(parents=True)
        self.script = self.bin / "soc-deploy"
        self.script.write_text("#!/bin/sh\n")
        self.script.chmod(0o755)
        self.said = ""

    @property
    def environ(self) -> dict[str, str]:
        return {"HOME": str(self.home), "SOC_DEPLOY_HOME": str(self.state), "PATH": str(self.bin)}

    @contextmanager
    def entered(self) -> Iterator[None]:
        """As if the console script of this place had been typed here."""
        with (
            mock.patch.dict(os.environ, self.environ, clear=True),
            mock.patch("os.getcwd", return_value=str(self.project)),
            mock.patch("sys.argv", [str(self.script)]),
        ):
            yield

    def run(self, line: str, *, as_json: bool = False) -> int:
        """The exit code of `install …` or `uninstall …`; what it printed is in `said`."""
        verb, *words = line.split()
        out = StringIO()
        try:
            with self.entered(), redirect_stdout(out):
                return command.COMMANDS[verb](words, Options(json=as_json))
        finally:
            self.said = out.getvalue()

    def outcomes(self, line: str) -> dict[str, str]:
        """Word by path."""
        self.run(line, as_json=True)
        found = json.loads(self.said)
        return {row["path"]: row["outcome"] for each in found["clients"] for row in each["files"]}

    def refusal(self, line: str) -> DeployError:
        try:
            self.run(line)
        except DeployError as error:
            return error
        raise AssertionError(f"not refused: {self.said}")

    def write(self, path: str, text: str | bytes) -> Path:
        file = self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    def read(self, path: str) -> str:
        return (self.project / path).read_bytes().decode()

    def config(self, path: str) -> Any:
        return json.loads(self.read(path))


def tree(folder: Path) -> dict[str, tuple[str, bytes, int]]:
    """Everything below a folder: kind, content, mode."""
    found = {}
    for path in sorted(folder.rglob("*")):
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        content = os.fsencode(os.readlink(path)) if kind == "link" else path.read_bytes() if kind == "file" else b""
        found[str(path.relative_to(folder))] = (kind, content, path.lstat().st_mode)
    return found
