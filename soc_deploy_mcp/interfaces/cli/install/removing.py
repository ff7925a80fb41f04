"""Taking our files and keys away again. What the user changed stays. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from soc_deploy_mcp.interfaces.cli.install import edit, jsonc, marker
from soc_deploy_mcp.interfaces.cli.install.changes import Change, File, Form, Key, Refused
from soc_deploy_mcp.interfaces.cli.install.clients import CLIENTS
from soc_deploy_mcp.interfaces.cli.install.edit import Undo
from soc_deploy_mcp.interfaces.cli.install.jsonc import Unreadable
from soc_deploy_mcp.interfaces.cli.install.ledger import Entry, Ledger, WroteFile, WroteKey
from soc_deploy_mcp.interfaces.cli.install.page import NotPossible
from soc_deploy_mcp.interfaces.cli.install.render import argv_of
from soc_deploy_mcp.interfaces.cli.install.steps import Disk, Step, digest, text_of


def uninstalled(client: str, changes: Sequence[Change], disk: Disk, ledger: Ledger) -> list[Step]:
    """One step a file. `changes` is all that this version could have written, `disk` as in `installed`."""
    ledger = _with_recognised(client, changes, disk, ledger)
    steps = [removed(client, path, disk, ledger) for path in ledger.paths(client)]
    return [step for step in steps if step]


def removed(client: str, path: str, disk: Disk, ledger: Ledger) -> Step | None:
    """Without what the ledger says of a path; None when there is no such file."""
    data = disk[path]
    if data is None:
        return None
    entry = ledger.file(client, path)
    return _file(entry, data, disk) if entry else _config(ledger.keys(client, path), data, ledger.blanks.get(path))


def taken_back(text: str, entries: Sequence[WroteKey]) -> tuple[str, list[WroteKey]]:
    """`text` without these keys, the last written first, and those that stay since somebody changed them."""
    stay = []
    for entry in reversed(entries):
        form = CLIENTS[entry.client].form
        now = edit.value_at(text, form, entry.keys)
        if now == edit.means(json.dumps(entry.value)):
            text = edit.take_back(text, form, entry.keys, entry.undo)
        elif now is not None:
            stay.append(entry)
    return text, stay[::-1]


def _file(entry: WroteFile, data: bytes, disk: Disk) -> Step | None:
    if entry.backup and entry.backup.startswith(digest(data)[:12]):
        return None  # what was there before us: an interruption got so far
    earlier = disk.get(entry.backup)
    mark = marker.read(data)
    if digest(data) != entry.sha256 and not (mark and mark.intact):
        return Step(entry.path, "kept", data, data, "you changed it", (entry,))
    return Step(entry.path, "removed" if earlier is None else "restored", data, earlier)


def _config(entries: Sequence[WroteKey], data: bytes, blank: str | None) -> Step:
    path = entries[0].path
    try:
        text, stay = taken_back(text_of(data), entries)
    except (Unreadable, NotPossible, Refused) as error:
        return Step(path, "refused", data, data, str(error), tuple(entries), blank)
    if blank is not None and not stay and _nothing_but(blank, text, CLIENTS[entries[0].client].form):
        return Step(path, "removed", data, None)
    why = "you changed " + ", ".join(".".join(entry.keys) for entry in stay) if stay else ""
    after = text.encode()
    return Step(
        path,
        "merged" if after != data else "kept" if stay else "unchanged",
        data,
        after,
        why,
        tuple(stay),
        blank if stay else None,
    )


def _nothing_but(blank: str, text: str, form: Form) -> bool:
    """Is a file that we made as empty as it began?"""
    commented = any(token.kind == "comment" for token in jsonc.tokens(text))
    return not commented and jsonc.meaning(text, form) == jsonc.meaning(blank, form)


def _with_recognised(client: str, changes: Sequence[Change], disk: Disk, ledger: Ledger) -> Ledger:
    """The ledger, and what a colleague's install left here, as far as it can be known for sure."""
    for path in dict.fromkeys(change.path for change in changes):
        data = disk[path]
        if data is None or path in ledger.paths(client):
            continue
        wanted = [change for change in changes if change.path == path]
        found = [entry for change in wanted if (entry := _recognised(client, change, data))]
        blank = next((change.blank for change in wanted if isinstance(change, Key)), None)
        if found:
            ledger = ledger.noting(client, path, found, blank)
    return ledger


def _recognised(client: str, change: Change, data: bytes) -> Entry | None:
    if isinstance(change, File):
        mark = marker.read(data)
        return WroteFile(client, change.path, digest(data)) if mark and mark.intact else None
    try:
        now = edit.value_at(text_of(data), change.form, change.keys)
    except (Unreadable, NotPossible, Refused):
        return None
    value = edit.plain(now)
    ours = value == change.value if change.choice else bool(argv_of(value))
    return WroteKey(client, change.path, change.keys, value, Undo()) if ours else None
