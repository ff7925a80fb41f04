"""A connection to this user's daemon; started if there is none, and started once however many ask at the same time.

The daemon runs under the supervisor of `tools/local/shim.py`, a child of nobody: killing the client and all below it
does not reach it, and a daemon that dies while runs are open is back within a second. With no open run it stays down.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from soc_deploy_mcp.interfaces.daemon.paths import Paths
from soc_deploy_mcp.interfaces.daemon.peer import uid_of
from soc_deploy_mcp.interfaces.daemon.trouble import trouble

# `-P`: the interpreter must not look for modules in the working directory, which is a user's project
DAEMON = (sys.executable, "-P", "-m", "soc_deploy_mcp.app", "daemon")
START_S = 60.0
POLL_S = 0.03

_SHIM = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "local", "shim.py")
_STARTS = 3  # of a daemon that ends before it listens
_RESTARTS = 30  # in a row, of a daemon that dies while runs are open
_GRACE_S = 12  # more than the daemon takes for itself
_FILES = 8192
_LOG_MB = 5
_KEPT = {"PATH", "HOME", "LANG", "TZ", "USER"} | {
    *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"),
}
_KEPT_PREFIXES = ("LC_", "XDG_", "SSL_CERT_", "SOC_DEPLOY_")


def scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    """What the daemon may know of the environment of whoever happened to start it: no keys of models or clouds."""
    return {name: value for name, value in environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}


def connect(paths: Paths) -> socket.socket | None:
    """The daemon's socket, or None when nobody listens. E_DAEMON for a stranger's, or one that takes no connection."""
    deadline = time.monotonic() + START_S
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(paths.socket)
        except BlockingIOError:  # the queue of connections is full
            sock.close()
            if time.monotonic() > deadline:
                raise trouble("E_DAEMON", "The daemon takes no connections.", f"see {paths.log}") from None
            time.sleep(POLL_S)
        except OSError:
            sock.close()
            return None
        else:
            sock.setblocking(True)
            return _ours(sock, paths)


def brought_up(paths: Paths) -> socket.socket | None:
    """As `connect`; a daemon that its supervisor is just bringing back, and does not listen yet, is waited for."""
    deadline = time.monotonic() + START_S
    while (sock := connect(paths)) is None and _in_charge(paths):
        if time.monotonic() > deadline:
            raise trouble("E_DAEMON", "The daemon does not come back.", f"see {paths.log}")
        time.sleep(POLL_S)
    return sock


def ensure_daemon(paths: Paths, environ: Mapping[str, str], daemon: Sequence[str] = DAEMON) -> socket.socket:
    """A connection to the daemon, which is started if nobody listens. DeployError E_DAEMON, E_HOME_UNFIT."""
    if (sock := connect(paths)) is not None:
        return sock
    paths.prepare()
    with _starter(paths):
        return connect(paths) or _started(paths, scrubbed(environ), daemon)  # somebody else may have been faster


def _ours(sock: socket.socket, paths: Paths) -> socket.socket:
    uid = uid_of(sock)
    if uid != os.getuid():
        sock.close()
        raise trouble("E_DAEMON", f"{paths.socket} belongs to another user.", f"uid {uid} listens there")
    return sock


@contextlib.contextmanager
def _starter(paths: Paths) -> Iterator[None]:
    lock = os.open(paths.starter, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _started(paths: Paths, env: Mapping[str, str], daemon: Sequence[str]) -> socket.socket:
    deadline = time.monotonic() + START_S
    for _ in range(_STARTS):
        if (sock := _awaited(paths, _launch(paths, env, daemon), deadline)) is not None:
            return sock
    instead = "soc-deploy serve --in-process"
    raise trouble("E_DAEMON", "The daemon did not start.", f"see {paths.log}", instead)


def _awaited(paths: Paths, life: int, deadline: float) -> socket.socket | None:
    """Wait until a daemon listens. `life` is a pipe whose other end only the supervisor and its daemon hold: it ends
    when both have. Another supervisor may still be in charge, about to bring its own daemon back."""
    try:
        while time.monotonic() < deadline:
            if (sock := connect(paths)) is not None:
                return sock
            if not select.select([life], [], [], POLL_S)[0]:
                continue
            if not _in_charge(paths):
                return connect(paths)
            time.sleep(POLL_S)
        return None
    finally:
        os.close(life)


def _in_charge(paths: Paths) -> bool:
    """A supervisor holds its directory."""
    try:
        lock = os.open(os.path.join(paths.supervisor, "lock"), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _launch(paths: Paths, env: Mapping[str, str], daemon: Sequence[str]) -> int:
    """Start a supervisor for `daemon`; returns the end of the pipe to watch. Its format: tools/local/shim.py."""
    spec = {
        "argv": list(daemon),
        "cwd": "/",
        "restart": "on-failure",
        "max_restarts": _RESTARTS,
        "while_exists": paths.open,
        "grace_s": _GRACE_S,
        "nofile": _FILES,
        "log_mb": _LOG_MB,
    }
    with open(os.path.join(paths.supervisor, "spec.json"), "w") as file:
        json.dump(spec, file)
    life, held = os.pipe()
    stdin, secret = os.pipe()  # the environment goes to no file
    child = os.fork()
    if child == 0:
        _leave(paths, stdin, held)
    os.close(held)
    os.close(stdin)
    os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError), os.fdopen(secret, "w") as pipe:
        json.dump({"env": dict(env)}, pipe)
    return life


def _leave(paths: Paths, stdin: int, held: int) -> NoReturn:
    """In the child: fork once more and become the supervisor."""
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.umask(0o077)
        null = os.open(os.devnull, os.O_WRONLY)
        log = os.open(paths.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for target, source in enumerate([_high(handle) for handle in (stdin, null, log, held)]):
            os.dup2(source, target)
        os.closerange(4, 1 << 16)  # whatever the client left open is none of the daemon's business
        os.execve(sys.executable, [sys.executable, "-I", "-S", os.path.abspath(_SHIM), paths.supervisor], {})
    finally:
        os._exit(127)


def _high(handle: int) -> int:
    """A copy out of the way of the standard handles, some of which a client may have closed."""
    return fcntl.fcntl(handle, fcntl.F_DUPFD, 10)
