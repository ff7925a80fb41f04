"""Which of a client's changes are made: what is ours is brought up to date, what is the user's stays. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from soc_deploy_mcp.interfaces.cli.install import edit, marker
from soc_deploy_mcp.interfaces.cli.install.changes import Change, File, Json, Key, Keys, Refused
from soc_deploy_mcp.interfaces.cli.install.jsonc import Meaning, Unreadable
from soc_deploy_mcp.interfaces.cli.install.launch import SCRIPT
from soc_deploy_mcp.interfaces.cli.install.ledger import Ledger, WroteFile, WroteKey
from soc_deploy_mcp.interfaces.cli.install.page import NotPossible
from soc_deploy_mcp.interfaces.cli.install.removing import removed, taken_back
from soc_deploy_mcp.interfaces.cli.install.render import argv_of, snippet
from soc_deploy_mcp.interfaces.cli.install.steps import Disk, Step, digest, text_of

# of the command file that users of super-opencode have, with plain line endings
UPSTREAM = "a91c63d7b11ac35ef58f693c942cc0f398b4cee9973ef822811c49b6d937a7ff"


def installed(
    client: str, changes: Sequence[Change], disk: Disk, ledger: Ledger, replacing: bool = False
) -> list[Step]:
    """One step a file. `disk` holds every path of the changes and of the ledger, and the backups by name."""
    keys = [change for change in changes if isinstance(change, Key)]
    files = [change for change in changes if isinstance(change, File)]
    steps = [
        _config(client, list(group), disk[path], ledger, replacing)
        for path, group in groupby(keys, key=lambda key: key.path)
    ]
    steps += [_file(client, file, disk[file.path], ledger.file(client, file.path), replacing) for file in files]
    paths = {change.path for change in changes}
    stale = [removed(client, path, disk, ledger) for path in ledger.paths(client) if path not in paths]
    return [*steps, *filter(None, stale)]


def _file(client: str, wanted: File, data: bytes | None, entry: WroteFile | None, replacing: bool) -> Step:
    new = wanted.text.encode()
    known = (entry,) if entry else ()
    written = WroteFile(client, wanted.path, digest(new), entry.backup if entry else "")
    if data == new:
        return Step(wanted.path, "unchanged", data, data, entries=known)
    if data is None or _unchanged_by_others(data, entry):
        return Step(wanted.path, "wrote", data, new, entries=(written,))
    upstream = digest(data.replace(b"\r\n", b"\n")) == UPSTREAM
    if upstream or replacing:
        why = "in place of super-opencode's file" if upstream else "in place of yours"
        written = replace(written, backup=f"{digest(data)[:12]}-soc-deploy.md")
        return Step(wanted.path, "wrote", data, new, why, (written,), backup=written.backup)
    if entry or marker.read(data):
        return Step(wanted.path, "kept", data, data, "yours differs; --replace overwrites it", known)
    return Step(wanted.path, "refused", data, data, "it is not ours; --replace overwrites it and keeps a copy")


def _unchanged_by_others(data: bytes, entry: WroteFile | None) -> bool:
    mark = marker.read(data)
    return (entry is not None and entry.sha256 == digest(data)) or (mark is not None and mark.intact)


def _config(client: str, wanted: Sequence[Key], data: bytes | None, ledger: Ledger, replacing: bool) -> Step:
    path, blank = wanted[0].path, wanted[0].blank
    known = ledger.keys(client, path)
    try:
        merge = _Merge(client, blank if data is None else text_of(data), known, replacing)
        merge.drop_others({key.keys for key in wanted})
        for key in wanted:
            merge.take(key)
    except (Unreadable, NotPossible, Refused) as error:
        why = f"not readable, {error}; mend it and install again" if isinstance(error, Unreadable) else str(error)
        return Step(path, "refused", data, data, why, tuple(known), snippet=snippet(wanted))
    after = merge.text.encode()
    made = blank if data is None else ledger.blanks.get(path)
    if data is None:
        return Step(path, "wrote", None, after, "", tuple(merge.entries), made)
    word = "merged" if after != data else "kept" if merge.kept else "unchanged"
    why = "; ".join(filter(None, [_list("replaced", merge.replaced), _list("as you have it", merge.kept)]))
    return Step(path, word, data, after, why, tuple(merge.entries), made)  # type: ignore[arg-type]


@dataclass
class _Merge:
    """A configuration into which one key after the other is taken."""

    client: str
    text: str
    entries: list[WroteKey]
    replacing: bool
    kept: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)

    def drop_others(self, wanted: set[Keys]) -> None:
        """What an earlier version, or --trust, put in and this time does not."""
        stale = [entry for entry in self.entries if entry.keys not in wanted]
        self.text, _ = taken_back(self.text, stale)
        self.entries = [entry for entry in self.entries if entry.keys in wanted]

    def take(self, key: Key) -> None:
        """Refused for an entry of somebody else."""
        if key.choice and self._is_one_word(key):
            return
        entry = next((each for each in self.entries if each.keys == key.keys), None)
        now = edit.value_at(self.text, key.form, key.keys)
        if now == _meaning(key.value):
            return
        ours = now is None or (entry is not None and now == _meaning(entry.value))
        if not ours and not self.replacing and not self._may_update(key, now, entry):
            return
        edited = edit.set_key(self.text, key.form, key.keys, key.value)
        undo = entry.undo if entry and ours and now is not None else edited.undo
        self.text = edited.text
        if not ours:
            self.replaced.append(".".join(key.keys))
        others = [each for each in self.entries if each.keys != key.keys]
        self.entries = [*others, WroteKey(self.client, key.path, key.keys, key.value, undo)]

    def _is_one_word(self, key: Key) -> bool:
        """OpenCode takes `"permission": "ask"` for all tools: whoever wrote that has chosen."""
        top = key.keys[:1]
        if not isinstance(edit.value_at(self.text, key.form, top), str):
            return False
        self.kept = list(dict.fromkeys((*self.kept, *top)))
        return True

    def _may_update(self, key: Key, now: Meaning | None, entry: WroteKey | None) -> bool:
        """Of a value that is not what we last wrote here: perhaps a colleague installed it."""
        there = edit.plain(now)
        if entry is None and not key.choice:
            argv = argv_of(there)
            if not argv:
                raise Refused(f"{'.'.join(key.keys)} is not ours; --replace overwrites it")
            if _rest(there) == _rest(key.value):
                return argv != (SCRIPT,)  # the plain name is for everybody, our own path would not be
        self.kept.append(".".join(key.keys))
        return False


def _rest(entry: Json) -> Json:
    """A server entry without the words that start it."""
    assert isinstance(entry, dict)
    return {name: value for name, value in entry.items() if name not in ("command", "args")}


def _meaning(value: Json) -> Meaning:
    return edit.means(json.dumps(value))


def _list(word: str, names: Sequence[str]) -> str:
    return f"{word}: {', '.join(names)}" if names else ""
