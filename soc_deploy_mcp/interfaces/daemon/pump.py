"""Carries MCP lines between a client's pipes and the daemon's socket, and keeps the session when the daemon is lost.

One thread and one `poll`. The pipes stay blocking, because that flag is shared with whoever else holds them: a pipe
that `poll` calls writable takes `PIPE_BUF` bytes without blocking, so no more are written at once. The socket is our
own and does not block. Both directions have a bounded buffer, so two full sides cannot wait for each other.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable

from soc_deploy_mcp.interfaces.daemon.memory import Memory

FULL = 1 << 20  # bytes waiting in one direction before its source is no longer read
LONGEST = 4 << 20  # bytes of one line of a client
DRAIN_S = 1.0  # for answers that are on their way when the client has closed its side
_PIECE = 65_536
_AT_ONCE = select.PIPE_BUF


class Lines:
    """Cuts a stream into whole lines. A line that grows over `longest` bytes is skipped and counted."""

    def __init__(self, longest: int | None = None) -> None:
        self._longest, self._open, self._skipping = longest, bytearray(), False
        self.skipped = 0

    def feed(self, piece: bytes) -> list[bytes]:
        *ended, rest = piece.split(b"\n")
        lines = []
        for end in ended:
            self._take(end)
            if self._skipping:
                self._skipping = False
            else:
                lines.append(bytes(self._open) + b"\n")
            self._open.clear()
        self._take(rest)
        return lines

    def rest(self) -> bytes:
        """What came after the last newline, as a line of its own."""
        last = bytes(self._open)
        self._open.clear()
        return last + b"\n" if last.strip() and not self._skipping else b""

    def _take(self, part: bytes) -> None:
        if self._skipping:
            return
        self._open += part
        if self._longest is not None and len(self._open) > self._longest:
            self._skipping = True
            self.skipped += 1
            self._open.clear()


class Pump:
    """`run` carries lines until the client closes its side or stops reading, or `reconnect` raises."""

    def __init__(self, sock: socket.socket, reconnect: Callable[[], socket.socket], stdin: int = 0, stdout: int = 1):
        self._sock: socket.socket | None = sock
        self._reconnect, self._stdin, self._stdout = reconnect, stdin, stdout
        self._memory = Memory()
        self._from_client, self._from_daemon = Lines(LONGEST), Lines()
        self._to_client, self._to_daemon = bytearray(), bytearray()
        self._ended = 0.0  # when the client closed its side; 0 = it did not
        sock.setblocking(False)

    def run(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            while not self._over():
                if self._to_daemon and self._sock is None:
                    self._return()
                self._step()
            self._flush()

    def give_up(self) -> None:
        """Answer what is open with an error: there is no daemon any more."""
        for line in self._memory.lost():
            self._to_client += line
        with contextlib.suppress(BrokenPipeError):
            self._flush()

    def _over(self) -> bool:
        """The client is gone and everything said was answered, or its time is up."""
        if not self._ended:
            return False
        return (self._sock is None and not self._to_daemon) or time.monotonic() - self._ended > DRAIN_S

    def _step(self) -> None:
        poll = select.poll()
        if not self._ended and len(self._to_daemon) < FULL:
            poll.register(self._stdin, select.POLLIN)
        if self._to_client:
            poll.register(self._stdout, select.POLLOUT)
        if self._sock is not None:
            wanted = (select.POLLIN if len(self._to_client) < FULL else 0) | (select.POLLOUT if self._to_daemon else 0)
            if wanted:  # a registered socket reports its end for ever, also while the client has no room for it
                poll.register(self._sock, wanted)
        ready = dict(poll.poll(None if not self._ended else 100))
        if self._stdin in ready and not self._ended:
            self._read()
        if self._stdout in ready and self._to_client:
            self._write()
        if self._sock is not None and (event := ready.get(self._sock.fileno())):
            self._talk(event)

    def _read(self) -> None:
        try:
            piece = os.read(self._stdin, _PIECE)
        except OSError:
            piece = b""
        skipped = self._from_client.skipped
        lines = self._from_client.feed(piece) if piece else [self._from_client.rest()]
        for line in filter(None, lines):
            self._memory.sent(line)
            self._to_daemon += line
        if self._from_client.skipped > skipped:
            self._to_client += Memory.too_long(LONGEST)
        if not piece:
            self._ended = time.monotonic()
            self._half_close()

    def _write(self) -> None:
        del self._to_client[: os.write(self._stdout, self._to_client[:_AT_ONCE])]

    def _flush(self) -> None:
        while self._to_client:
            self._write()

    def _talk(self, event: int) -> None:
        assert self._sock is not None
        try:
            if self._to_daemon and event & select.POLLOUT:
                del self._to_daemon[: self._sock.send(self._to_daemon[:_PIECE])]
                self._half_close()
            if event & ~select.POLLOUT and len(self._to_client) < FULL:
                self._hear(self._sock.recv(_PIECE))
        except BlockingIOError:
            return
        except OSError:
            self._lose()

    def _hear(self, piece: bytes) -> None:
        if not piece:
            self._lose()
            return
        for line in self._from_daemon.feed(piece):
            if self._memory.received(line):
                self._to_client += line

    def _half_close(self) -> None:
        if self._ended and not self._to_daemon and self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def _lose(self) -> None:
        """The daemon is gone. The next line of the client brings it back; one that nobody reads needs none."""
        assert self._sock is not None
        self._sock.close()
        self._sock, self._from_daemon = None, Lines()
        self._to_daemon.clear()
        if not self._ended:
            for line in self._memory.lost():
                self._to_client += line
            self._to_daemon += self._memory.opening()

    def _return(self) -> None:
        sock = self._reconnect()
        sock.setblocking(False)
        self._sock = sock
        self._to_daemon[:0] = self._memory.replay()
