"""The one subprocess runner: argv only, own session, a time-out that ends the whole group, redacted output.

What a child left behind in its group is ended with it: a command that answered must not go on in the background.
"""

import asyncio
import codecs
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soc_deploy_mcp.core.redaction import Redactor

OUTPUT_LIMIT: Final = 1_000_000  # characters kept of each stream: the first quarter and the end
GRACE_S: Final = 2.0  # between SIGTERM and SIGKILL
LINGER_S: Final = 1.0  # how long an open pipe is read after the process ended

_KEPT = ("PATH", "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME")


class NotStarted(Exception):
    """The program could not be started: not found, not executable, no such directory."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(f"{program}: {reason}")
        self.program, self.reason = program, reason


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended. `code` is negative for a signal; output is redacted, cut in the middle when too long."""

    code: int
    out: str
    err: str
    seconds: float
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        return self.code == 0 and not self.timed_out

    def last_lines(self, count: int = 20, limit: int = 4096) -> str:
        """The end of what it said, errors last: for a message to a person."""
        lines = [line for line in (self.out + "\n" + self.err).splitlines() if line.strip()]
        return "\n".join(lines[-count:])[-limit:]


def plain_environment(environ: Mapping[str, str], more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What every child may know: where programs are, the language, the time zone. Built, never inherited."""
    kept = {name: value for name, value in environ.items() if name in _KEPT or name.startswith("LC_")}
    return kept | dict(more or {})


async def run(
    argv: Sequence[str],
    *,
    cwd: Path | str,
    env: Mapping[str, str],
    timeout: float,
    stdin: bytes | None = None,
    redactor: Redactor | None = None,
    limit: int = OUTPUT_LIMIT,
    keeps: Sequence[int] = (),
) -> Finished:
    """Run one command to its end. `env` is its whole environment; `timeout` in seconds; `keeps`: open files that it
    inherits.

    Raises NotStarted. Cancelled, it kills the group and passes the cancellation on.
    """
    watch = _Watch(_Capture(redactor or Redactor(), limit), _Capture(redactor or Redactor(), limit))
    begin = time.monotonic()
    transport = await _start(watch, argv, cwd, env, stdin, keeps)
    group, timed_out = transport.get_pid(), False
    try:
        try:
            await asyncio.wait_for(watch.exited.wait(), timeout)
        except TimeoutError:
            timed_out = True
            await _end(group, watch)
        await _settled(group, watch)
    except asyncio.CancelledError:
        _signal(group, signal.SIGKILL)
        raise
    finally:
        transport.close()
    code = transport.get_returncode()
    seconds = time.monotonic() - begin
    return Finished(-signal.SIGKILL if code is None else code, watch.out.text(), watch.err.text(), seconds, timed_out)


async def _start(
    watch: "_Watch",
    argv: Sequence[str],
    cwd: Path | str,
    env: Mapping[str, str],
    stdin: bytes | None,
    keeps: Sequence[int],
) -> asyncio.SubprocessTransport:
    try:
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: watch,
            *argv,
            cwd=cwd,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=tuple(keeps),
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise NotStarted(argv[0] if argv else "", reason.lower()) from None
    if stdin is not None and isinstance(pipe := transport.get_pipe_transport(0), asyncio.WriteTransport):
        pipe.write(stdin)
        pipe.close()  # after what was written
    return transport


async def _end(group: int, watch: "_Watch") -> None:
    """Ask it to end, and give it a moment; `_settled` does the rest."""
    _signal(group, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(watch.exited.wait(), GRACE_S)


async def _settled(group: int, watch: "_Watch") -> None:
    """Kill what still runs in the group, then read the rest. A pipe held outside the group is not waited for."""
    _signal(group, signal.SIGKILL)
    for event in (watch.exited, watch.closed):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), LINGER_S)


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class _Watch(asyncio.SubprocessProtocol):
    """Told by the loop when the process ends, which `Process.wait` tells only once its pipes are closed too."""

    def __init__(self, out: "_Capture", err: "_Capture") -> None:
        self.out, self.err = out, err
        self.exited, self.closed = asyncio.Event(), asyncio.Event()
        self._open = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        (self.out if fd == 1 else self.err).feed(data)

    def pipe_connection_lost(self, fd: int, _: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open:
            self.closed.set()

    def process_exited(self) -> None:
        self.exited.set()


class _Capture:
    """Text of one stream: redacted first, so that the cut cannot leave half a secret."""

    def __init__(self, redactor: Redactor, limit: int) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stream = redactor.stream()
        self._head_room, self._tail_room = limit // 4, limit - limit // 4
        self._head, self._tail, self._lost = "", "", 0

    def feed(self, data: bytes, final: bool = False) -> None:
        text = self._stream.feed(self._decode(data, final))
        if final:
            text += self._stream.close()
        room = self._head_room - len(self._head)
        self._head += text[:room]
        self._tail += text[room:]
        if len(self._tail) > 2 * self._tail_room or final:
            excess = max(0, len(self._tail) - self._tail_room)
            self._lost += excess
            self._tail = self._tail[excess:]

    def text(self) -> str:
        self.feed(b"", final=True)
        gap = f"\n[{self._lost:,} characters left out]\n" if self._lost else ""
        return self._head + gap + self._tail
