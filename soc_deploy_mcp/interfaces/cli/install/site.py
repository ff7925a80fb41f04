"""Where client files go, and where the records of it are: a project and its .soc-deploy/, or the home directory and the
state home."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from soc_deploy_mcp.interfaces.cli.install.changes import Refused
from soc_deploy_mcp.interfaces.cli.install.clients import Scope
from soc_deploy_mcp.interfaces.daemon.hello import project_of
from soc_deploy_mcp.interfaces.daemon.paths import home_of

RECORDS = ".soc-deploy"


@dataclass(frozen=True)
class Site:
    scope: Scope
    base: str  # links resolved
    records: str  # directory of the ledger and of backups; relative paths are below the base

    @classmethod
    def of(cls, scope: Scope, cwd: str, environ: Mapping[str, str]) -> Site:
        if scope == "project":
            return cls(scope, project_of("cli", cwd, environ), RECORDS)
        return cls(scope, os.path.realpath(os.path.expanduser("~")), home_of(environ))

    @property
    def ledger(self) -> str:
        return os.path.join(self.records, "install.json")

    def backup(self, name: str) -> str:
        return os.path.join(self.records, "backup", name)

    def real(self, path: str) -> str:
        """Links followed. Refused when that leads out of the project; the own files of a user may be links anywhere."""
        real = os.path.realpath(os.path.join(self.base, path))
        if self.scope == "project" and os.path.commonpath([real, self.base]) != self.base:
            raise Refused(f"it leads out of the project, to {real}", path)
        return real

    def read(self, path: str) -> bytes | None:
        """None: no such file. Refused for what is no file or cannot be read."""
        real = self.real(path)
        try:
            if os.path.lexists(real) and not os.path.isfile(real):
                raise Refused("it is no file", path)
            with open(real, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(f"it cannot be read: {(error.strerror or 'error').lower()}", path) from None

    def missing_above(self, paths: Iterable[str]) -> list[str]:
        """Directories that must be made for these files, outermost first, as paths of this site."""
        found: list[str] = []
        for path in paths:
            folder = os.path.dirname(path)
            new = []
            while folder and not os.path.isdir(os.path.join(self.base, folder)):
                new.append(folder)
                folder = os.path.dirname(folder)
            found += new[::-1]
        return list(dict.fromkeys(found))

    def shown(self, path: str) -> str:
        """As a person would write it."""
        if self.scope == "project" or os.path.isabs(path):
            return path
        return os.path.join("~", path)
