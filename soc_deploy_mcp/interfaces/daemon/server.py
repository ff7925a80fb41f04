"""The daemon: one process per user and state home, in which every run lives. Doors come and go; runs do not.

It leaves when nobody has needed it for `idle_s`: no connection and no open run. The order of leaving is always the
same, so that a client either reaches a daemon or finds none: stop listening, unlink the socket while `owner.lock` is
held, hang up, end the process.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.core.request import Caller
from soc_deploy_mcp.interfaces.daemon.admission import admit
from soc_deploy_mcp.interfaces.daemon.hello import PROTOCOL, TIMEOUT, VERSION, Ack, Hello
from soc_deploy_mcp.interfaces.daemon.listener import Listener
from soc_deploy_mcp.interfaces.daemon.logs import write_logs
from soc_deploy_mcp.interfaces.daemon.methods import methods
from soc_deploy_mcp.interfaces.daemon.orders import settled
from soc_deploy_mcp.interfaces.daemon.owner import Owner, own
from soc_deploy_mcp.interfaces.daemon.paths import Paths
from soc_deploy_mcp.interfaces.daemon.peer import uid_of
from soc_deploy_mcp.interfaces.daemon.requests import Requests
from soc_deploy_mcp.interfaces.daemon.trouble import one_line
from soc_deploy_mcp.interfaces.doors import App

IDLE_S = 900.0
STOP_S = 10.0  # from the decision to leave to the end of the process, whatever still hangs
_HANG_UP_S = 2.0
_TICK_S = 0.25  # how long the mark of open runs may be behind, while anybody is connected
_IDLE_TICK_S = 1.0

_log = logging.getLogger(__name__)

Build = Callable[[], AbstractAsyncContextManager[App]]


def run(paths: Paths, build: Build, *, idle_s: float = IDLE_S, redactor: Redactor | None = None) -> int:
    """The daemon process from its first to its last line: own the home, build the app, serve. Returns the exit code."""
    os.umask(0o077)
    redactor = redactor or Redactor()
    write_logs(redactor)
    try:
        owner = own(paths)
    except DeployError as error:
        sys.stderr.write(one_line(error) + "\n")
        return int(error.exit)

    async def life() -> None:
        async with build() as app:
            await serve(paths, app, owner=owner, idle_s=idle_s, redactor=redactor)

    asyncio.run(life())
    return 0


async def serve(
    paths: Paths,
    app: App,
    *,
    owner: Owner | None = None,
    idle_s: float = IDLE_S,
    redactor: Redactor | None = None,
    version: str = VERSION,
    alone: bool = True,
) -> None:
    """Serve until it is idle, asked to leave, or signalled. DeployError E_DAEMON when another daemon owns the home.

    `alone`: the process is ours, so signals are handled, and its end is forced `STOP_S` after the decision to leave.
    """
    if owner is None:
        owner = await asyncio.to_thread(own, paths)
    daemon = Daemon(owner, app, idle_s, redactor or Redactor(), version)
    if alone:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, daemon.leave)
    await daemon.live()
    if alone:
        end = threading.Timer(STOP_S, os._exit, [1])
        end.daemon = True
        end.start()


class Daemon:
    def __init__(self, owner: Owner, app: App, idle_s: float, redactor: Redactor, version: str) -> None:
        self._owner, self._paths, self._app = owner, owner.paths, app
        self._idle_s, self._redactor, self._version = idle_s, redactor, version
        self._listener: Listener | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._leaving, self._stir = False, asyncio.Event()
        self._stopped = False  # by hand: no client that is still here brings it back
        self._methods, self._born = methods(), time.monotonic()
        self._own = {"daemon.status": self._status, "daemon.stop": self._stop}
        self._mcp: asyncio.Task[Any] | None = None

    def leave(self) -> None:
        self._leaving = True
        self._stir.set()

    async def live(self) -> None:
        self._listener = await Listener.open(self._owner, self._connected)
        _log.info("version %s listens on %s", self._version, self._paths.socket)
        try:
            await self._watch()
        finally:
            await self._hang_up()

    async def _watch(self) -> None:
        """Until it is time to leave. There is no await between the decision and the end of listening."""
        needed = time.monotonic()
        while not self._leaving:
            self._stir.clear()
            busy = self._mark() or bool(self._connections)
            now = time.monotonic()
            if busy:
                needed = now
            elif now - needed >= self._idle_s:
                return
            if not (self._listener and self._listener.in_place() and self._owner.holds()):
                await self._again()
            wait = _TICK_S if busy else min(_IDLE_TICK_S, needed + self._idle_s - now)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stir.wait(), wait)

    def _mark(self) -> bool:
        """Runs are open; a file says so to the supervisor, which brings a dead daemon back only then."""
        is_open = self._app.open_runs() > 0
        with contextlib.suppress(OSError):
            if is_open and not os.path.exists(self._paths.open):
                os.close(os.open(self._paths.open, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            elif not is_open:
                os.unlink(self._paths.open)
        return is_open

    async def _again(self) -> None:
        """Somebody removed the socket or the lock: take both anew, or make room for who has them."""
        self._shut()
        try:
            if not self._owner.holds():
                self._owner.release()
                self._owner = await asyncio.to_thread(own, self._paths)
            self._listener = await Listener.open(self._owner, self._connected)
        except (DeployError, OSError) as error:
            _log.error("the socket directory was taken away: %s", error)
            self._leaving = True

    def _shut(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _hang_up(self) -> None:
        self._shut()
        with contextlib.suppress(OSError):
            os.unlink(self._paths.open)  # this end is on purpose; the runs resume when a daemon starts
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(set(self._connections), timeout=_HANG_UP_S)
        await settled(_HANG_UP_S)

    # --- one connection

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._gone)
        self._stir.set()

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._stir.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection failed", exc_info=error)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            uid = uid_of(writer.get_extra_info("socket"))
            if uid != os.getuid():
                _log.warning("uid %d was turned away", uid)
                return
            hello = await self._greet(reader, writer, uid)
            if hello is not None:
                await self._speak(hello, _caller(hello, uid), reader, writer)
        except* (ConnectionError, TimeoutError, ValueError):
            pass  # a client that left, said nothing, or said more than a line may hold
        finally:
            writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uid: int) -> Hello | None:
        """The hello of a client that is taken in; None for one that is not, or not now."""
        hello: Hello | None = None
        try:
            hello = Hello.read(await asyncio.wait_for(reader.readline(), TIMEOUT))
            ack = await self._admit(hello, uid)
        except ValueError as error:
            ack = Ack(False, self._version, os.getpid(), "E_PROTOCOL", "The hello was not understood.", str(error))
        if ack.retry:
            self._shut()  # first, so that the client's next attempt does not end here again
            self.leave()
        writer.write(ack.line())
        await writer.drain()
        return hello if ack.ok else None

    async def _admit(self, hello: Hello, uid: int) -> Ack:
        same = (hello.version, hello.protocol) == (self._version, PROTOCOL)
        return admit(hello, self._version, os.getpid(), None if same else await self._open_run(hello, uid))

    async def _open_run(self, hello: Hello, uid: int) -> str | None:
        if not self._app.open_runs():
            return None
        views = await self._app.runs(_caller(hello, uid))
        return next((str(view.id) for view in views if not view.state.terminal), "a run")

    async def _speak(
        self, hello: Hello, caller: Caller, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if hello.role == "cli":
            requests = Requests(self._app, caller, self._methods, self._own, self._redactor, self._farewell)
            await requests.speak(reader, writer)
            return
        if self._mcp is None:
            self._mcp = asyncio.get_running_loop().create_task(asyncio.to_thread(self._load_mcp))
        server, speak, peer = await asyncio.shield(self._mcp)
        note = "" if hello.version == self._version else _both(hello.version, self._version)
        await speak(server, peer(caller, note), reader, writer)

    def _load_mcp(self) -> Any:
        """The SDK is most of this process's start and memory: paid for when the first chat comes, in a thread."""
        from soc_deploy_mcp.interfaces.daemon.session import speak
        from soc_deploy_mcp.interfaces.mcp.caller import Peer
        from soc_deploy_mcp.interfaces.mcp.keys import request_state_key
        from soc_deploy_mcp.interfaces.mcp.server import build

        return build(self._app, self._redactor, keys=[request_state_key(self._paths.home)]), speak, Peer

    # --- methods of the daemon itself

    async def _status(self, _params: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": self._version,
            "protocol": PROTOCOL,
            "home": self._paths.home,
            "socket": self._paths.socket,
            "log": self._paths.log,
            "uptime_s": round(time.monotonic() - self._born, 1),
            "connections": len(self._connections),
            "open_runs": self._app.open_runs(),
            "started_by": os.environ.get("SOC_DEPLOY_STARTED_BY", "hand"),
        }

    async def _stop(self, params: Mapping[str, Any]) -> dict[str, Any]:
        count = self._app.open_runs()
        if count and params.get("force") is not True:
            what = f"{count} run{' is' if count == 1 else 's are'} open."
            again = "soc-deploy status\nsoc-deploy daemon stop --force"
            raise DeployError("E_DAEMON_BUSY", what, "they would resume at the next start", again)
        self._stopped = True
        self.leave()
        return {"pid": os.getpid(), "open_runs": count}

    def _farewell(self) -> DeployError | None:
        if not self._stopped:
            return None
        why = "a run that was open resumes when a daemon starts"
        return DeployError("E_DAEMON_STOPPED", "The daemon was stopped by hand.", why, "soc-deploy daemon start")


def _caller(hello: Hello, uid: int) -> Caller:
    kind, client = ("cli", "cli") if hello.role == "cli" else ("mcp", "")
    return Caller(kind=kind, subject=f"uid:{uid}", client=client, project=hello.project)


def _both(client: str, daemon: str) -> str:
    return f"client version {client[:40]}, daemon version {daemon}: it is replaced when no run is open"
