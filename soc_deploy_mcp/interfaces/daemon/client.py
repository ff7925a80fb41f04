"""The command line's side of the daemon's socket: ask, or follow a stream. Standard library only.

    {"id":1,"method":"begin","params":{"line":["prod","--action","deploy","--version","v2.1.0"]}}
    {"id":1,"result":{…}}    {"id":1,"error":{"code":"E_…","what":"…","why":"…","try":"…"}}
    {"id":1,"event":{…}} … {"id":1,"result":null}                                 for a stream
    {"id":null,"error":{"code":"E_DAEMON_STOPPED",…}}      the last word of a daemon that is stopped by hand

Methods are those of `doors.App` (without `caller`, and without `answer`, which belongs to a chat), `daemon.status` and
`daemon.stop`. Everything that comes back is plain JSON.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from soc_deploy_mcp.interfaces.daemon.hello import hello_of
from soc_deploy_mcp.interfaces.daemon.paths import Paths, home_of
from soc_deploy_mcp.interfaces.daemon.reach import Reached, introduce, reach
from soc_deploy_mcp.interfaces.daemon.spawn import DAEMON, brought_up
from soc_deploy_mcp.interfaces.daemon.trouble import trouble

# Asked again when the daemon is lost between question and answer: they change nothing.
READS = frozenset({"view", "runs", "live", "report", "journal", "releases", "logs", "open_runs", "daemon.status"})
STOP_S = 15.0
LOSSES = 3  # in a row, after which nobody is waited for any longer


class Wire:
    """One admitted connection. ConnectionError when the daemon is lost."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._read, self._number = sock, bytearray(), 0

    def send(self, method: str, params: Mapping[str, Any]) -> None:
        self._number += 1
        said = {"id": self._number, "method": method, "params": params}
        try:
            self._sock.sendall(json.dumps(said, separators=(",", ":")).encode() + b"\n")
        except OSError:
            self.receive(0)  # a daemon that was stopped by hand has said so
            raise

    def receive(self, timeout: float | None = None) -> dict[str, Any] | None:
        """The next message, or None after `timeout` seconds without one."""
        while b"\n" not in self._read:
            if not select.select([self._sock], [], [], timeout)[0]:
                return None
            piece = self._sock.recv(65_536)
            if not piece:
                raise ConnectionError("the daemon hung up")
            self._read += piece
        line, _, rest = self._read.partition(b"\n")
        self._read = rest
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            error = message["error"]
            raise trouble(error["code"], error["what"], error.get("why", ""), error.get("try", ""))
        return message

    def close(self) -> None:
        self._sock.close()


class Client:
    """`with Client.open() as client: client.call("begin", line=argv)`."""

    def __init__(self, paths: Paths, environ: Mapping[str, str], daemon: Sequence[str], reached: Reached) -> None:
        self.paths, self.ack = paths, reached.ack
        self._environ, self._daemon, self._wire = environ, daemon, Wire(reached.sock)

    @classmethod
    def open(cls, environ: Mapping[str, str] | None = None, daemon: Sequence[str] = DAEMON) -> Client:
        """The user's daemon, started if needed. DeployError says why not."""
        environ = os.environ if environ is None else environ
        paths = Paths.of(home_of(environ))
        return cls(paths, environ, daemon, reach(paths, hello_of("cli", environ), environ, daemon))

    @classmethod
    def running(cls, environ: Mapping[str, str] | None = None) -> Client | None:
        """The user's daemon if one runs, of whatever version; starts none. E_DAEMON_OLDER as `open`."""
        environ = os.environ if environ is None else environ
        paths = Paths.of(home_of(environ))
        reached = _asked(paths, environ)
        if reached is None:
            return None
        if not reached.ack.ok:
            reached.sock.close()
            raise trouble(reached.ack.code, reached.ack.what, reached.ack.why, reached.ack.try_)
        return cls(paths, environ, DAEMON, reached)

    def call(self, method: str, **params: Any) -> Any:
        """The result of a method. DeployError as the daemon says it, E_DAEMON when it was lost. What only reads is
        asked again: a daemon that was just reached may be lost too."""
        for losses in range(LOSSES + 1):
            if losses:
                time.sleep(0.5 * (losses - 1))
                self.close()
                self._wire = self._reach()
            try:
                return self._ask(method, params)
            except OSError:
                if method not in READS:
                    break
        raise _lost()

    def stream(self, method: str, *, tick: float | None = None, **params: Any) -> Iterator[dict[str, Any] | None]:
        """The events of a method on a connection of its own; None each `tick` seconds without one."""
        wire = self._reach()
        try:
            wire.send(method, params)
            while (message := wire.receive(tick)) is None or "event" in message:
                yield message["event"] if message else None
        finally:
            wire.close()

    def follow(self, run: str, after: int = 0, *, tick: float | None = None) -> Iterator[dict[str, Any] | None]:
        """`App.follow` that survives the daemon: a lost one comes back and the stream goes on where it was."""
        losses = 0
        while True:
            try:
                for event in self.stream("follow", run=run, after=after, tick=tick):
                    if event is not None:
                        after, losses = event["seq"], 0
                    yield event
                return
            except OSError:
                losses += 1
                if losses > LOSSES:
                    raise _lost() from None
                time.sleep(0.5 * losses)

    def close(self) -> None:
        self._wire.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reach(self) -> Wire:
        reached = reach(self.paths, hello_of("cli", self._environ), self._environ, self._daemon)
        self.ack = reached.ack
        return Wire(reached.sock)

    def _ask(self, method: str, params: Mapping[str, Any]) -> Any:
        self._wire.send(method, params)
        message = self._wire.receive()
        assert message is not None
        return message.get("result")


def stop(environ: Mapping[str, str] | None = None, *, force: bool = False) -> dict[str, Any] | None:
    """Make the user's daemon leave and wait until it has: its `pid` and `open_runs` (None: it did not say), or None
    when no daemon runs.

    E_DAEMON_BUSY (or E_DAEMON_OLDER, from one that speaks another protocol) while runs are open, unless `force`.
    """
    environ = os.environ if environ is None else environ
    paths = Paths.of(home_of(environ))
    reached = _asked(paths, environ)
    if reached is None:
        return None
    ack = reached.ack
    stopped: dict[str, Any] = {"pid": ack.pid, "open_runs": None}
    with Client(paths, environ, DAEMON, reached) as client:
        if ack.ok:
            stopped = client.call("daemon.stop", force=force)
        elif force:
            os.kill(ack.pid, signal.SIGTERM)
        else:
            raise trouble(ack.code, ack.what, ack.why, ack.try_)
    _wait_until_free(paths.owner, ack.pid)
    return stopped


def _asked(paths: Paths, environ: Mapping[str, str]) -> Reached | None:
    """A running daemon's answer to a caller who does not want it replaced."""
    if (sock := brought_up(paths)) is None:
        return None
    ack = introduce(sock, hello_of("cli", environ, again=True))
    if ack is None or ack.retry:  # it is leaving
        sock.close()
        return None
    return Reached(sock, ack)


def _lost() -> Exception:
    why = "the run goes on, or resumes when a daemon starts"
    return trouble("E_DAEMON", "The daemon was lost before it answered.", why, "soc-deploy status")


def _wait_until_free(lock: str, pid: int) -> None:
    deadline = time.monotonic() + STOP_S
    while not _free(lock):
        if time.monotonic() > deadline:
            raise trouble("E_DAEMON", "The daemon does not leave.", f"pid {pid}", f"kill -9 {pid}")
        time.sleep(0.03)


def _free(lock: str) -> bool:
    """Nobody holds the lock."""
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
