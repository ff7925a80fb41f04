"""What we wrote on this machine, and what was there before. Without it a file of ours is known by its marker alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from soc_deploy_mcp.interfaces.cli.install.changes import Json, Keys, Refused
from soc_deploy_mcp.interfaces.cli.install.edit import Undo

SCHEMA = 1


@dataclass(frozen=True)
class WroteFile:
    client: str
    path: str
    sha256: str
    backup: str = ""  # name of the copy of what was there; "" = nothing was


@dataclass(frozen=True)
class WroteKey:
    client: str
    path: str
    keys: Keys
    value: Json
    undo: Undo


Entry = WroteFile | WroteKey


@dataclass(frozen=True)
class Ledger:
    entries: tuple[Entry, ...] = ()  # in the order in which they were written
    blanks: dict[str, str] = field(default_factory=dict)  # by path: configurations that we made, as they began
    made: tuple[str, ...] = ()  # directories that we made

    def of(self, client: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.client == client]

    def file(self, client: str, path: str) -> WroteFile | None:
        found = (entry for entry in self.of(client) if isinstance(entry, WroteFile) and entry.path == path)
        return next(found, None)

    def keys(self, client: str, path: str) -> list[WroteKey]:
        return [entry for entry in self.of(client) if isinstance(entry, WroteKey) and entry.path == path]

    def paths(self, client: str) -> list[str]:
        return list(dict.fromkeys(entry.path for entry in self.of(client)))

    def backups(self) -> set[str]:
        return {entry.backup for entry in self.entries if isinstance(entry, WroteFile) and entry.backup}

    def noting(self, client: str, path: str, entries: Iterable[Entry], blank: str | None) -> Ledger:
        """With these entries, and no others, for a path of a client."""
        rest = tuple(each for each in self.entries if (each.client, each.path) != (client, path))
        blanks = {known: text for known, text in self.blanks.items() if known != path}
        return replace(self, entries=(*rest, *entries), blanks=blanks if blank is None else {**blanks, path: blank})

    def joined(self, later: Ledger) -> Ledger:
        """What either says, the later one first: enough for whoever comes after an interruption between the two."""
        said = {_name(entry) for entry in later.entries}
        rest = tuple(entry for entry in self.entries if _name(entry) not in said)
        made = tuple(dict.fromkeys((*self.made, *later.made)))
        return Ledger((*rest, *later.entries), {**self.blanks, **later.blanks}, made)


def write(ledger: Ledger) -> bytes:
    said = {
        "schema": SCHEMA,
        "entries": [asdict(entry) for entry in ledger.entries],
        "blanks": ledger.blanks,
        "made": list(ledger.made),
    }
    return json.dumps(said, indent=1, ensure_ascii=False).encode() + b"\n"


def read(data: bytes | None) -> Ledger:
    """Refused for something that this version did not write."""
    if data is None:
        return Ledger()
    try:
        said = json.loads(data)
        if said["schema"] != SCHEMA:
            raise Refused(f"the record of what was installed has schema {said['schema']}, this version knows {SCHEMA}")
        return Ledger(tuple(_entry(row) for row in said["entries"]), dict(said["blanks"]), tuple(said["made"]))
    except (ValueError, KeyError, TypeError):
        raise Refused("the record of what was installed cannot be read; move it away") from None


def _entry(row: dict[str, Any]) -> Entry:
    if "sha256" in row:
        return WroteFile(**row)
    return WroteKey(**{**row, "keys": tuple(row["keys"]), "undo": Undo(**row["undo"])})


def _name(entry: Entry) -> tuple[str, str, Keys | None]:
    return entry.client, entry.path, entry.keys if isinstance(entry, WroteKey) else None
