"""The only file that writes. Whatever interrupts it, each file is the old one or the new one, and another install or
uninstall completes the work: the ledger says what is going to be written before it is."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from soc_deploy_mcp.interfaces.cli.install import ledger as ledgers
from soc_deploy_mcp.interfaces.cli.install.changes import Refused
from soc_deploy_mcp.interfaces.cli.install.ledger import Ledger
from soc_deploy_mcp.interfaces.cli.install.site import RECORDS, Site
from soc_deploy_mcp.interfaces.cli.install.steps import Step

_IGNORE_FILE = os.path.join(RECORDS, ".gitignore")
_IGNORE = b"*\n"  # records are this machine's: git leaves them alone


def carry(site: Site, client: str, steps: Sequence[Step], before: Ledger) -> Ledger:
    """Write what the steps say; the ledger afterwards. Refused at the first file that cannot be written."""
    after = _noted(client, steps, before)
    writing = [step for step in steps if step.after != step.before]
    if not writing and after == before:
        return before
    paths = [step.path for step in writing if step.after is not None]
    paths += [site.ledger, *(site.backup(step.backup) for step in writing if step.backup)]
    after = replace(after, made=tuple(dict.fromkeys((*before.made, *site.missing_above(paths)))))
    _save(site, before.joined(after))
    for step in writing:
        if step.backup:
            assert step.before is not None
            _write(site, site.backup(step.backup), step.before)
        _put(site, step)
    for name in before.backups() - after.backups():
        _remove(site, site.backup(name))
    return _settle(site, after)


def _noted(client: str, steps: Sequence[Step], ledger: Ledger) -> Ledger:
    """A path of the client without a step is gone."""
    by_path = {step.path: step for step in steps}
    for path in dict.fromkeys((*ledger.paths(client), *by_path)):
        step = by_path.get(path)
        ledger = ledger.noting(client, path, step.entries if step else (), step.blank if step else None)
    return ledger


def _put(site: Site, step: Step) -> None:
    if site.read(step.path) != step.before:
        raise Refused("it changed meanwhile; try again", step.path)
    if step.after is None:
        _remove(site, step.path)
    else:
        _write(site, step.path, step.after)


def _write(site: Site, path: str, data: bytes) -> None:
    """In one move: a temporary file beside it, then a rename."""
    real = site.real(path)
    beside = os.path.join(os.path.dirname(real), f".{os.path.basename(real)}.{secrets.token_hex(4)}.new")
    try:
        os.makedirs(os.path.dirname(real), exist_ok=True)
        try:
            _fill(beside, data, real)
            os.replace(beside, real)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
        _sync(os.path.dirname(real))
    except OSError as error:
        raise Refused(f"it cannot be written: {(error.strerror or 'error').lower()}", path) from None


def _fill(path: str, data: bytes, like: str) -> None:
    """A new file with the mode of the old one."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(handle, "wb") as file:
        with suppress(FileNotFoundError):
            os.fchmod(handle, stat.S_IMODE(os.stat(like).st_mode))
        file.write(data)
        file.flush()
        os.fsync(handle)


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(site: Site, path: str) -> None:
    try:
        os.unlink(site.real(path))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Refused(f"it cannot be removed: {(error.strerror or 'error').lower()}", path) from None


def _save(site: Site, ledger: Ledger) -> None:
    _write(site, site.ledger, ledgers.write(ledger))
    if site.scope == "project" and site.read(_IGNORE_FILE) is None:
        _write(site, _IGNORE_FILE, _IGNORE)


def _settle(site: Site, ledger: Ledger) -> Ledger:
    """Take away the directories that we made and that hold nothing now; at last a ledger that says nothing."""
    ledger = _without_empty(site, ledger)
    if ledger.entries:
        _save(site, ledger)
        return ledger
    _remove(site, site.ledger)
    return _without_empty(site, ledger)  # its own directory


def _without_empty(site: Site, ledger: Ledger) -> Ledger:
    left = [folder for folder in sorted(ledger.made, key=len, reverse=True) if not _gone(site, folder)]
    return replace(ledger, made=tuple(sorted(left, key=len)))


def _gone(site: Site, folder: str) -> bool:
    try:
        real = site.real(folder)
        if folder == RECORDS and os.listdir(real) == [".gitignore"] and site.read(_IGNORE_FILE) == _IGNORE:
            _remove(site, _IGNORE_FILE)
        os.rmdir(real)
    except FileNotFoundError:
        return True
    except (OSError, Refused):
        return False
    return True
