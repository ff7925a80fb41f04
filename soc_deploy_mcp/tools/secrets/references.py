"""`env:NAME` and `file:/path`: resolved when needed, told to the redactor before anybody sees the value."""

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.redaction import Redactor

MODES: Final = (0o600, 0o400)  # whoever can read a secret's file has the secret
MAX_BYTES: Final = 65_536


class Secrets:
    """Resolves references. `environ` is the environment of the process that carries the run, handed in."""

    def __init__(self, environ: Mapping[str, str], redactor: Redactor) -> None:
        self._environ, self._redactor = environ, redactor

    def resolve(self, reference: str, name: str = "") -> SecretStr:
        """The value, registered with the redactor. `name` is the variable it goes into, for short values.

        One line break at the end of a file is no part of the secret. Raises E_SECRET_UNRESOLVED.
        """
        value = self._read(reference)
        self._redactor.add(value, name)
        return SecretStr(value)

    def know(self, references: Iterable[str]) -> None:
        """Register what resolves, so that it is hidden before anybody uses it. What does not, its user will say."""
        for reference in references:
            self.problem(reference)

    def exists(self, reference: str) -> bool:
        """Would it resolve? The value is not kept."""
        return self.problem(reference) is None

    def problem(self, reference: str) -> DeployError | None:
        """Why it would not resolve, for a check before the run."""
        try:
            self.resolve(reference)
        except DeployError as error:
            return error
        return None

    def _read(self, reference: str) -> str:
        kind, _, rest = reference.partition(":")
        match kind:
            case "env":
                return self._from_environment(reference, rest)
            case "file":
                return _from_file(reference, Path(rest))
            case _:
                why = "This version resolves env:NAME and file:/path."
                raise _unresolved("A secret is no reference that can be resolved", why, "")

    def _from_environment(self, reference: str, name: str) -> str:
        if value := self._environ.get(name):
            return value
        what = f"{reference} is {'empty' if name in self._environ else 'not set'}"
        why = "The environment of the process that carries the run counts, not that of your shell."
        raise _unresolved(what, why, f"put the value into a file with mode 0600 and refer to it: file:/path/{name}")


def _from_file(reference: str, path: Path) -> str:
    if not path.is_absolute():
        raise _unresolved(f"{reference} is no absolute path", "", f"write file:/path/to/{path.name or 'secret'}")
    try:
        # A pipe without a writer would hold up the whole process.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise _unresolved(f"{reference}: {why}", "", f"install -m 600 /dev/stdin {path}") from None
    try:
        _refuse_open_to_others(reference, path, os.fstat(opened))
        data = os.read(opened, MAX_BYTES + 1)
    finally:
        os.close(opened)
    if len(data) > MAX_BYTES:
        raise _unresolved(f"{reference} is larger than {MAX_BYTES // 1024} KiB", "", "")
    try:
        value = data.decode()
    except UnicodeDecodeError:
        raise _unresolved(f"{reference} is no UTF-8 text", "", "") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise _unresolved(f"{reference} is empty", "", f"install -m 600 /dev/stdin {path}")
    return value


def _refuse_open_to_others(reference: str, path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _unresolved(f"{reference} is no plain file", "", "")
    if (mode := stat.S_IMODE(status.st_mode)) not in MODES:
        why = f"Its mode is {mode:04o}; 0600 or 0400 is demanded, so that nobody else can read it."
        raise _unresolved(f"{reference} is open to others", why, f"chmod 600 {path}")


def _unresolved(what: str, why: str, try_: str) -> DeployError:
    return DeployError("E_SECRET_UNRESOLVED", what, why, try_ or "write a reference: env:NAME or file:/path")
