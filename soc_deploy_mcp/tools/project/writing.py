"""Files written into the project: whole or not at all, never outside it."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from soc_deploy_mcp.core.errors import DeployError

FOLDER: Final = ".soc-deploy"  # ours: ignored by git, so that the user's tracked files are left alone


def write(root: Path, relative: str | Path, text: str) -> Path:
    """Write a file of the project atomically: temporary file beside it, fsync, rename. The mode of an old one stays.

    Returns the path. E_WRITE when the path leads out of the project, also through a link, or cannot be written.
    """
    path = inside(root, relative)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text.encode())
    except OSError as error:
        why = (error.strerror or "cannot be written").lower()
        raise DeployError("E_WRITE", f"{path} was not written.", why, f"ls -ld {path.parent}") from None
    return path


def folder(root: Path) -> Path:
    """`.soc-deploy/`, made with a `.gitignore` of its own when it is not there."""
    ignore = f"{FOLDER}/.gitignore"
    if not (root / ignore).exists():
        write(root, ignore, "*\n")
    return inside(root, FOLDER)


def inside(root: Path, relative: str | Path) -> Path:
    """The path a name stands for, links followed, or E_WRITE when that is outside the project."""
    top = root.resolve()
    try:
        path = (top / relative).resolve()
    except (OSError, ValueError) as error:  # too long, or a NUL in it
        raise DeployError("E_WRITE", "A file name cannot be used.", str(error), f"ls -ld {top}") from None
    if path == top or not path.is_relative_to(top):
        why = f"It leads to {path}, outside the project."
        raise DeployError("E_WRITE", f"{relative} is not written.", why, f"ls -ld {top / relative}")
    return path


def _replace(path: Path, data: bytes) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        mode = 0o644
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Else the rename itself can be lost with the power."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
