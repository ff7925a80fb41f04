"""Supervisor of one process: `python -I -S shim.py DIRECTORY [--detach]`.

A script of its own that imports the standard library only: it must go on when the package is upgraded or its
environment deleted. `spec.json` in the directory says what to run; the environment, with its secrets, comes as one
JSON object on standard input and is never written anywhere. `status.json` says what is. With `--detach` the process
that was started ends at once, and a child of nobody goes on.

The application is no child of whoever deployed it and survives them. It survives this supervisor too: the next one
for the same directory adopts it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is a megabyte that each supervisor would carry
    from typing import Any, NoReturn

    Json = dict[str, Any]

PR_SET_CHILD_SUBREAPER = 36
STEADY_S = 60.0  # who ran that long before it ended has not failed to start; spec: steady_s
LOOK_S = 1.0  # how often the log's size is looked at


def backoff(failures: int) -> float:
    """Seconds before the next start: the first time at once."""
    return 0.0 if failures <= 1 else min(10.0, 0.5 * 2 ** (failures - 2))


def next_start(spec: Json, code: int | None, failures: int) -> float | None:
    """Seconds to wait before another start, or None when it stays down."""
    if spec["restart"] == "never" or (spec["restart"] == "on-failure" and code == 0):
        return None
    limit = spec.get("max_restarts")
    if limit is not None and failures > limit:
        return None
    path = spec.get("while_exists")
    if path is not None and not os.path.exists(path):
        return None
    return backoff(failures)


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def write_json(name: str, data: Json) -> None:
    draft = f".{name}.{os.getpid()}"
    with open(draft, "w") as file:
        json.dump(data, file)
    os.replace(draft, name)


def read_json(name: str) -> Json | None:
    try:
        with open(name) as file:
            found: Json = json.load(file)
            return found
    except (OSError, ValueError):
        return None


class Supervisor:
    def __init__(self, spec: Json) -> None:
        self.spec = spec
        self.environment: dict[str, str] = {}
        self.pid = 0
        self.pidfd: int | None = None  # set for an adopted process, which is not our child
        self.failures = 0  # in a row
        self.stopping = False
        self.wake, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(os.dup(wake_write), warn_on_full_buffer=False)
        self.status: Json = {
            "state": "starting",
            "pid": None,
            "start": None,
            "shim": os.getpid(),
            "shim_start": start_time(os.getpid()),
            "boot_id": boot_id(),
            "port": spec.get("port"),
            "release": spec.get("release"),
            "code": None,
            "stopped": False,
            "restarts": 0,
            "reason": "",
            "t": time.time(),
        }

    def report(self, state: str, **more: Any) -> None:
        self.status.update(state=state, t=time.time(), **more)
        # A full disk must not take the application down.
        with contextlib.suppress(OSError):
            write_json("status.json", self.status)

    # --- life of the application

    def supervise(self) -> None:
        if not self.adopt():
            if self.outdated():
                self.report("failed", reason="stale_epoch")
                return
            self.start()
        while self.once():
            self.start()

    def once(self) -> bool:
        """From a start to the end of the application, and the pause after it. Is it to be started again?"""
        began = time.monotonic()
        code = self.wait()
        self.kill_group(signal.SIGKILL)  # workers it left behind hold its port
        if not self.asked_to_stop():
            self.failures = 1 if time.monotonic() - began >= self.spec.get("steady_s", STEADY_S) else self.failures + 1
            self.status["restarts"] += 1
            delay = next_start(self.spec, code, self.failures)
            if delay is None:
                reason = self.status["reason"] or "ended"
                self.report("exited" if code == 0 else "failed", code=code, pid=None, reason=reason)
                return False
            self.report("exited", code=code, pid=None)
            self.pause(delay)
        if self.asked_to_stop():
            self.report("exited", code=code, pid=None, stopped=True)
            return False
        return True

    def asked_to_stop(self) -> bool:
        return self.stopping

    def outdated(self) -> bool:
        """Did a newer owner take the target since this start was ordered, or give this directory up?"""
        if os.path.exists("gone"):
            return True
        fence = self.spec.get("fence")
        if fence is None:
            return False
        record = read_json(fence["path"])
        return record is not None and record.get("epoch", 0) > fence["epoch"]

    def adopt(self) -> bool:
        """Take over the application of a supervisor that died."""
        old = self.orphan()
        if old is None:
            return False
        try:
            self.pidfd = os.pidfd_open(old["pid"])
        except OSError:
            return False
        self.pid = int(old["pid"])
        self.report("running", pid=self.pid, start=old["start"], restarts=old["restarts"])
        return True

    def orphan(self) -> Json | None:
        """The last status, if its application still lives."""
        old = read_json("status.json")
        if not old or not old["pid"] or old["boot_id"] != self.status["boot_id"]:
            return None
        return old if start_time(old["pid"]) == old["start"] else None

    def start(self) -> None:
        read, write = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            self.become_application(write)
        os.close(write)
        with os.fdopen(read) as pipe:
            problem = pipe.read()  # empty: the program is running, its end of the pipe closed itself
        self.pid, self.pidfd = pid, None
        self.report("running", pid=pid, start=start_time(pid), reason=problem)  # `code` stays that of the last end

    def become_application(self, problem: int) -> NoReturn:
        try:
            os.setsid()
            for number in (
                signal.SIGHUP,
                signal.SIGINT,
                signal.SIGTERM,
                signal.SIGPIPE,
                signal.SIGXFSZ,
                signal.SIGCHLD,
            ):
                signal.signal(number, signal.SIG_DFL)
            os.umask(0o022)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            wanted = self.spec["nofile"] if hard == resource.RLIM_INFINITY else min(self.spec["nofile"], hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            log = os.open("out.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(self.spec["cwd"])
            os.execvpe(self.spec["argv"][0], self.spec["argv"], self.environment)
        except BaseException as error:
            os.write(problem, f"{self.spec['argv'][0]}: {getattr(error, 'strerror', None) or error}".encode())
        finally:
            os._exit(127)

    def wait(self) -> int | None:
        """Until the application ended; its exit code, or minus the signal. None: not known (it was adopted)."""
        killed = None
        while True:
            ended, code = self.reap()
            if ended:
                return code
            if self.stopping and killed is None:
                self.kill_group(signal.SIGTERM)
                killed = time.monotonic() + self.spec["grace_s"]
            elif killed is not None and time.monotonic() >= killed:
                self.kill_group(signal.SIGKILL)
                killed = time.monotonic() + 1.0
            self.look_at_log()
            self.sleep(LOOK_S if killed is None else max(0.0, min(LOOK_S, killed - time.monotonic())))

    def reap(self) -> tuple[bool, int | None]:
        """Take every child that ended, orphans of the application too. (has the application ended, its code)"""
        ended, code = False, None
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self.pid:
                    ended, code = True, os.waitstatus_to_exitcode(status)
        if self.pidfd is not None and start_time(self.pid) is None:
            os.close(self.pidfd)
            self.pidfd, ended = None, True
        return ended, code

    def kill_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stopping and (left := until - time.monotonic()) > 0:
            self.sleep(left)
            self.reap()

    def sleep(self, seconds: float) -> None:
        """Wait for a signal, the end of an adopted process, or time."""
        watched = [self.wake] + ([self.pidfd] if self.pidfd is not None else [])
        ready, _, _ = select.select(watched, [], [], seconds)
        if self.wake in ready:
            os.read(self.wake, 512)

    def stop(self, *_: Any) -> None:
        self.stopping = True

    # --- its log

    def look_at_log(self) -> None:
        """Copy and truncate: the application keeps its descriptor, so this supervisor may die without harm."""
        try:
            if os.path.getsize("out.log") <= self.spec["log_mb"] * 1024 * 1024:
                return
            with open("out.log", "rb+") as log, open("out.log.1", "wb") as old:
                while block := log.read(1 << 20):
                    old.write(block)
                log.truncate(0)
        except OSError:
            return  # no space: the next look tries again


def lock(path: str) -> int | None:
    """The directory's lock, held until this process ends; None when another supervisor has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(10):  # somebody who only looks holds it for a moment
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            time.sleep(0.05)
    return None


def detach() -> None:
    """Out of the caller's session, group and tree."""
    if os.fork() != 0:
        os._exit(0)
    os.setsid()


def main(directory: str) -> None:
    os.chdir(directory)
    os.umask(0o077)
    text = sys.stdin.buffer.read()
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)  # what was read there is in no file any more
    if lock("lock") is None:
        return
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # memory holds secrets
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    supervisor = Supervisor(read_json("spec.json") or {})
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    if not text:  # whoever ordered the start died before it gave the environment
        if supervisor.orphan() is None:
            supervisor.report("failed", reason="no_env")
        return
    supervisor.environment = json.loads(text)["env"]
    supervisor.supervise()


if __name__ == "__main__":
    if "--detach" in sys.argv[2:]:
        detach()
    main(sys.argv[1])
