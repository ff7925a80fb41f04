"""The store in one SQLite file. WAL with `synchronous=FULL`: a step costs one fsync, and survives a power cut.

One thread writes, so that two transactions of this process never wait for each other's lock; a second thread reads.
"""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.engine import mounts, schema
from soc_deploy_mcp.engine.clock import Clock, SystemClock
from soc_deploy_mcp.engine.store import Row, T, Tx, Value

_BUSY_S = 30.0
_ROOM_MB = 32  # a long run is a few MB with its log; the rest is for the way back of the others


class _Transaction:
    """`Tx` on one connection, in that connection's thread."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.after: list[Callable[[], None]] = []

    def all(self, sql: str, *values: Value) -> list[Row]:
        return list(self._db.execute(sql, values))

    def one(self, sql: str, *values: Value) -> Row | None:
        row: Row | None = self._db.execute(sql, values).fetchone()
        return row

    def change(self, sql: str, *values: Value) -> int:
        return self._db.execute(sql, values).rowcount

    def on_commit(self, then: Callable[[], None]) -> None:
        self.after.append(then)


class Sqlite:
    """`open` first, `close` last. The file and its companions are 0600, in a directory that is ours."""

    LOOK_S = 0.08  # how often other processes' writes are looked for: a counter of SQLite, no query
    PRAGMAS = ("journal_mode=wal", "synchronous=full", "journal_size_limit=16777216")

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self._clock = clock or SystemClock()
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._reader = ThreadPoolExecutor(1, "store-reader")
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Raises E_HOME_UNFIT (network file system, not ours, too new), E_JOURNAL (cannot be used, or damaged)."""
        try:
            await self._in(self._writer, self._open_writer)
            await self._in(self._reader, self._open_reader)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Waits for what is being written. The last one to close leaves one tidy file behind."""
        for thread, db in ((self._reader, self._reading), (self._writer, self._writing)):
            if db is not None:
                await self._in(thread, db.close)
            thread.shutdown()
        self._reading = self._writing = None

    async def tx(self, work: Callable[[Tx], T]) -> T:
        loop = asyncio.get_running_loop()

        def job() -> T:
            result, after = _transact(_opened(self._writing), work, "immediate")
            with suppress(RuntimeError):  # the loop is gone, and everybody who could be told
                for then in after:
                    loop.call_soon_threadsafe(then)
            return result

        return await self._in(self._writer, job)

    async def read(self, work: Callable[[Tx], T]) -> T:
        return await self._in(self._reader, lambda: _transact(_opened(self._reading), work, "deferred")[0])

    async def watch(self, wake: Callable[[], Awaitable[None]]) -> None:
        seen = await self._in(self._writer, self._version)
        while True:
            await asyncio.sleep(self.LOOK_S)
            version = await self._in(self._writer, self._version)
            if version != seen:
                seen = version
                await wake()

    async def room(self) -> None:
        free = shutil.disk_usage(self.path.parent).free // 2**20
        if free < _ROOM_MB:
            raise DeployError(
                "E_LOW_DISK",
                f"{self.path.parent} has {free} MB left",
                f"a run needs {_ROOM_MB} MB, so that its journal can be written to the end",
                f"df -h {self.path.parent}",
            )

    def now(self) -> Instant:
        return self._clock.wall()

    async def _in(self, thread: ThreadPoolExecutor, job: Callable[[], T]) -> T:
        """What was begun is ended, also when the caller is cancelled: it runs in another thread."""

        def told() -> T:
            try:
                return job()
            except sqlite3.Error as error:
                raise trouble(error, self.path) or error from error

        return await asyncio.get_running_loop().run_in_executor(thread, told)

    def _version(self) -> int:
        """Grows when another connection wrote; our own writes leave it."""
        return int(_opened(self._writing).execute("pragma data_version").fetchone()[0])

    def _open_writer(self) -> None:
        self._make_home()
        unclean = _size(Path(f"{self.path}-wal")) > 0  # a clean close removes it
        self._writing = db = self._connect()
        if unclean:
            self._inspect(db)
        self._migrate(db)

    def _open_reader(self) -> None:
        self._reading = self._connect()
        self._reading.execute("pragma query_only=on")

    def _make_home(self) -> None:
        home = self.path.parent
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            mine = self.path.stat().st_uid == home.stat().st_uid == os.geteuid()
        except OSError as error:
            raise _unfit(f"{self.path} cannot be used", error.strerror or str(error)) from error
        if not mine:
            raise _unfit(f"{home} belongs to another account", "the journal must be ours alone")
        if kind := mounts.remote(home):
            raise _unfit(f"{home} is on a network file system ({kind})", "its locks do not hold between machines")
        self.path.chmod(self.path.stat().st_mode & 0o700)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        db.row_factory = sqlite3.Row
        for pragma in self.PRAGMAS:
            db.execute(f"pragma {pragma}")
        return db

    def _inspect(self, db: sqlite3.Connection) -> None:
        found = str(db.execute("pragma quick_check(1)").fetchone()[0])
        if found != "ok":
            raise _broken(self.path, f"the check after an unclean stop says: {found}")

    def _migrate(self, db: sqlite3.Connection) -> None:
        def migrate(tx: Tx) -> None:
            row = tx.one("pragma user_version")
            have = 0 if row is None else int(row["user_version"])
            if have > len(schema.SQLITE):
                why = f"its tables are number {have}, known here: {len(schema.SQLITE)}"
                raise _unfit(f"{self.path} was written by a newer soc-deploy", why)
            for statement in (s for migration in schema.SQLITE[have:] for s in migration):
                tx.change(statement)
            tx.change(f"pragma user_version={len(schema.SQLITE)}")

        _transact(db, migrate, "immediate")


def _transact(db: sqlite3.Connection, work: Callable[[Tx], T], mode: str) -> tuple[T, list[Callable[[], None]]]:
    tx = _Transaction(db)
    db.execute(f"begin {mode}")
    try:
        result = work(tx)
        db.execute("commit")
    except BaseException:
        if db.in_transaction:  # a full disk has rolled it back already
            db.execute("rollback")
        raise
    return result, tx.after


def trouble(error: sqlite3.Error, path: Path) -> DeployError | None:
    """E_JOURNAL for what a person can put right, None for a defect of ours.

    Source: result codes of sqlite.org/rescode.html; the low byte is the primary code.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _broken(path, str(error))
    why = _TROUBLE.get(code)
    if why is None:
        return None
    try_ = f"df -h {path.parent}\nls -l {path}"
    return DeployError("E_JOURNAL", f"{path} cannot be written", f"{why} ({error})", try_)


_TROUBLE = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk refuses: full, over a limit, or failing",
    sqlite3.SQLITE_READONLY: "the file or its file system is read-only",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_PERM: "the file cannot be opened",
    sqlite3.SQLITE_BUSY: f"another process has been writing for {_BUSY_S:.0f} s",
    sqlite3.SQLITE_LOCKED: f"another process has been writing for {_BUSY_S:.0f} s",
}


def _broken(path: Path, why: str) -> DeployError:
    return DeployError(
        "E_JOURNAL",
        f"{path} is damaged",
        why,
        f"sqlite3 {path} '.recover' > recovered.sql\nmv {path} {path}.damaged",
    )


def _unfit(what: str, why: str) -> DeployError:
    return DeployError("E_HOME_UNFIT", what, why, "export SOC_DEPLOY_HOME=~/.soc")


def _opened(db: sqlite3.Connection | None) -> sqlite3.Connection:
    if db is None:
        raise RuntimeError("the store is not open")
    return db


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
