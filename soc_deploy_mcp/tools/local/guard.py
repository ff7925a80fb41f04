"""The only writer of the router's files: `python -I -S guard.py DIRECTORY`.

A script of its own on the standard library: it outlives the daemon, refuses the writes of an older owner, and returns
the traffic by itself when its owner stops renewing. One thread; check and write cannot be separated.

`guard.json` holds everything, the files' text too, and is renamed into place before them: what it says is what the
files will say, because after a crash they are made from it again. Requests are one JSON line each over a unix socket;
times are seconds since boot, which no change of the wall clock moves.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import selectors
import signal
import socket
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

REQUEST_LIMIT = 4 * 1024 * 1024
IDLE_S = 10.0
EVENTS = 20
EMPTY: Json = {
    "epoch": 0,
    "seq": 0,  # of the last apply
    "version": "",  # of the routes
    "state": None,  # what the files were rendered from; opaque here
    "files": {},  # name -> text
    "timer": None,
    "fired": None,  # the last time the dead-man timer returned the traffic, until the next shift
    "events": [],
}
ROUTES = "rds.json"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def write(path: str, text: str, *, durable: bool) -> None:
    """Whole or not at all: what could not be written is removed. `durable`: also after a loss of power."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


def sync(path: str) -> None:
    """Also after a loss of power, from here on."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_text(path: str) -> str | None:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def staged_routes(timer: Json) -> str:
    """Where the routes lie that a timer puts into force: firing needs no space."""
    return os.path.join("stage", str(timer["file"]))


class Refused(Exception):
    """A request that changes nothing."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.body = {"error": error, **more}


class Guard:
    def __init__(self) -> None:
        self.boot = boot_id()
        self.record: Json = self.load()
        self.unstage()
        if self.due():  # before the files: routes that are no longer wanted must not come back for a moment
            self.fire()
        self.stage()
        self.put_in_place()

    # --- what is written

    def load(self) -> Json:
        """A record that a loss of power destroyed is put aside: nothing that was running then is running now."""
        text = read_text("guard.json")
        try:
            return {**EMPTY, **json.loads(text)} if text is not None else dict(EMPTY)
        except ValueError:
            os.replace("guard.json", "guard.json.broken")
            return dict(EMPTY)

    def save(self, record: Json, *, durable: bool = True) -> None:
        write("guard.json.new", json.dumps(record), durable=durable)
        os.replace("guard.json.new", "guard.json")
        self.record = record

    def stage(self, record: Json | None = None) -> None:
        """Write what a record wants beside the files, so that putting it in place needs no space. Changes nothing."""
        record = record or self.record
        for name, text in record["files"].items():
            if read_text(os.path.join("xds", name)) != text:
                write(os.path.join("stage", name), text, durable=False)
        if record["timer"] and not os.path.exists(staged_routes(record["timer"])):
            write(staged_routes(record["timer"]), record["timer"]["text"], durable=False)

    def put_in_place(self) -> None:
        """In the order of the record: endpoints, clusters, routes."""
        files = self.record["files"]
        staged = set(os.listdir("stage"))
        for name in files:
            if name in staged:
                os.replace(os.path.join("stage", name), os.path.join("xds", name))
        for name in set(os.listdir("xds")) - files.keys():
            os.unlink(os.path.join("xds", name))
        self.unstage()

    def unstage(self) -> None:
        """What is not in force, or was not carried out to the end, may not be put in place later."""
        kept = staged_routes(self.record["timer"]) if self.record["timer"] else None
        for path in (os.path.join("stage", name) for name in os.listdir("stage")):
            if path != kept:
                os.unlink(path)

    # --- verbs

    def answer(self, request: Json) -> Json:
        verbs = {"status": self.status, "claim": self.claim, "renew": self.renew, "apply": self.apply}
        verb = verbs.get(str(request.get("op")))
        if verb is None:
            raise Refused("unknown_verb")
        return verb(request)

    def status(self, _: Json) -> Json:
        record = self.record
        timer = record["timer"]
        left = None if timer is None else max(0.0, timer["deadline"] - now())
        known = {k: record[k] for k in ("epoch", "seq", "version", "state", "fired", "events")}
        shown = {"kind": timer["kind"], "left_s": left, "state": timer["state"]} if timer else None
        return {"ok": True, **known, "timer": shown}

    def claim(self, request: Json) -> Json:
        """Take the target for an epoch; everything older is refused from here on."""
        self.check_epoch(request)
        if request["epoch"] > self.record["epoch"]:
            self.save({**self.record, "epoch": request["epoch"]})
        return {"ok": True}

    def check_epoch(self, request: Json) -> None:
        if request["epoch"] < self.record["epoch"]:
            raise Refused("stale_epoch", epoch=self.record["epoch"])

    def renew(self, request: Json) -> Json:
        """Move the deadline of the dead-man timer, or switch it off. The timer of a hold is not the owner's to move."""
        self.check_epoch(request)
        timer, seconds = self.record["timer"], request["lease_s"]
        if timer and timer["kind"] == "lease":
            timer = None if seconds is None else {**timer, "deadline": now() + seconds, "boot_id": self.boot}
        record = {**self.record, "epoch": request["epoch"], "timer": timer}
        if record != self.record:
            # Without space for the new deadline it is kept in memory; after a crash the timer fires early, not late.
            taken, self.record = request["epoch"] > self.record["epoch"], record
            with contextlib.suppress(OSError):
                self.save(record, durable=taken)
        return {"ok": True, "armed": timer is not None}

    def apply(self, request: Json) -> Json:
        """Put files into force. Nothing is changed unless all of them could be written."""
        self.check_epoch(request)
        if request["seq"] != self.record["seq"]:
            raise Refused("conflict", seq=self.record["seq"])
        if not all(NAME.fullmatch(name) for name in request["files"]):
            raise Refused("bad_name")
        record = {
            **self.record,
            "epoch": request["epoch"],
            "seq": self.record["seq"] + 1,
            "version": request["version"],
            "state": request["state"],
            "files": request["files"],
            "timer": self.timer(request["timer"], self.record["seq"] + 1),
            "fired": None if request["forget_fired"] else self.record["fired"],
        }
        rerouted = record["version"] != self.record["version"]
        self.stage(record)
        self.save(record, durable=False)  # a crash of this process loses nothing of it
        self.put_in_place()
        if rerouted:  # users need not wait for the disk; who asked does
            with contextlib.suppress(OSError):  # it is in force, whatever the disk says
                sync("guard.json")
        return {"ok": True, "seq": record["seq"]}

    def timer(self, wanted: Json | None, seq: int) -> Json | None:
        """The timer as it is recorded. Its routes have a file of their own: until this write is done the old timer
        must be able to fire."""
        if wanted is None:
            return None
        old = self.record["timer"]
        kept = wanted["s"] is None
        if kept and (old is None or old["kind"] != wanted["kind"]):
            raise Refused("conflict", seq=self.record["seq"])
        return {
            "kind": wanted["kind"],
            "deadline": old["deadline"] if kept else now() + wanted["s"],
            "boot_id": self.boot,
            "file": f"{seq}.fallback",
            "text": wanted["text"],
            "version": wanted["version"],
            "state": wanted["state"],
        }

    # --- the timer

    def due(self) -> bool:
        timer = self.record["timer"]
        return timer is not None and (timer["boot_id"] != self.boot or timer["deadline"] <= now())

    def fire(self) -> None:
        timer = self.record["timer"]
        with contextlib.suppress(FileNotFoundError):  # renamed before a crash
            os.replace(staged_routes(timer), os.path.join("xds", ROUTES))
        event = {"at": time.time(), "kind": timer["kind"], "epoch": self.record["epoch"], "version": timer["version"]}
        record = {
            **self.record,
            "seq": self.record["seq"] + 1,
            "version": timer["version"],
            "state": timer["state"],
            "files": {**self.record["files"], ROUTES: timer["text"]},
            "timer": None,
            "fired": event if timer["kind"] == "lease" else self.record["fired"],
            "events": [*self.record["events"], event][-EVENTS:],
        }
        self.record = record  # the routes are in force, whether or not this can be written
        with contextlib.suppress(OSError):
            self.save(record)

    def wait_s(self) -> float:
        """Seconds until something may be due. The timer's clock runs on while the machine sleeps, select's does not."""
        timer = self.record["timer"]
        return IDLE_S if timer is None else min(1.0, max(0.0, timer["deadline"] - now()))


class Server:
    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.buffers: dict[socket.socket, tuple[bytes, float]] = {}  # connection -> (bytes so far, when it was opened)
        self.selector = selectors.DefaultSelector()
        with contextlib.suppress(FileNotFoundError):
            os.unlink("guard.sock")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        old = os.umask(0o177)
        self.listener.bind("guard.sock")
        os.umask(old)
        self.listener.listen(64)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)

    def serve(self) -> None:
        while True:
            for key, _ in self.selector.select(self.guard.wait_s()):
                if self.guard.due():
                    break  # nobody's request comes before the timer
                key.data()
            if self.guard.due():
                self.guard.fire()
            self.forget_idle()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            uid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
            if uid not in (os.geteuid(), 0):
                connection.close()
                return
            connection.setblocking(False)
            self.buffers[connection] = (b"", time.monotonic())
            self.selector.register(connection, selectors.EVENT_READ, lambda: self.receive(connection))

    def receive(self, connection: socket.socket) -> None:
        try:
            part = connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        data = self.buffers[connection][0] + part
        if data.endswith(b"\n"):
            self.reply(connection, data)
        elif part and len(data) <= REQUEST_LIMIT:
            self.buffers[connection] = (data, self.buffers[connection][1])
        else:
            self.close(connection)

    def reply(self, connection: socket.socket, data: bytes) -> None:
        try:
            body = self.guard.answer(json.loads(data))
        except Refused as refused:
            body = refused.body
        except OSError as failed:
            with contextlib.suppress(OSError):
                self.guard.unstage()
            body = {"error": "not_written", "why": failed.strerror or str(failed)}
        except (ValueError, KeyError, TypeError, AttributeError) as bad:
            body = {"error": "bad_request", "why": f"{type(bad).__name__}: {bad}"}
        connection.settimeout(1.0)
        with contextlib.suppress(OSError):
            connection.sendall(json.dumps(body).encode() + b"\n")
        self.close(connection)

    def forget_idle(self) -> None:
        for connection, (_, opened) in list(self.buffers.items()):
            if time.monotonic() - opened > IDLE_S:
                self.close(connection)

    def close(self, connection: socket.socket) -> None:
        self.buffers.pop(connection, None)
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(connection)
        connection.close()


def main(directory: str) -> None:
    os.chdir(directory)
    os.umask(0o077)
    os.makedirs("stage", exist_ok=True)
    lock = os.open("guard.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # waits: a second guard takes over when the first one is gone
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    Server(Guard()).serve()


if __name__ == "__main__":
    main(sys.argv[1])
