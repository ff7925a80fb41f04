"""Users while somebody is killed: every request that failed must have a cause, and be one that was under way then."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soc_deploy_mcp.interfaces.cli.demo.tally import LOST
from tests.crash.victims import Victim
from tests.support.load import Load, load

NOTICE_S = 0.3  # in which a router notices that an instance is gone, on a busy machine
IN_FLIGHT = 8  # at most so many requests were with one instance when it was killed
UP_S = 60.0


@dataclass
class Cause:
    """Somebody was killed whose end costs the requests that were with him, and nobody else's."""

    victim: Victim
    since: float  # time of day
    until: float
    errors: tuple[str, ...]  # as which users may see it

    def explains(self, record: dict[str, Any]) -> bool:
        began, ended = record["t"], record["t"] + record["ms"] / 1000
        return record["error"] in self.errors and began <= self.until and ended >= self.since


class Users:
    """Steady load at the entry, with a list of what may have cost some of it."""

    def __init__(self, running: Load, port: int) -> None:
        self.running, self.port = running, port
        self.causes: list[Cause] = []
        self._waiting: list[threading.Thread] = []

    def blame(self, victims: Sequence[Victim], at: float) -> None:
        for victim in victims:
            if victim.endswith("instance"):
                self.causes.append(Cause(victim, at, at + NOTICE_S, ("router",)))
            elif victim == "router":
                cause = Cause(victim, at, at + UP_S, LOST)
                self.causes.append(cause)
                self._waiting.append(threading.Thread(target=self._until_up, args=(cause,)))
                self._waiting[-1].start()

    def _until_up(self, cause: Cause) -> None:
        """When the entry answers again."""
        while time.time() < cause.since + UP_S:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("GET", "/healthz")
                connection.getresponse().read()
            except OSError:
                time.sleep(0.005)
            else:
                cause.until = time.time()
                return
            finally:
                connection.close()

    def check(self, bad: Sequence[str] = ()) -> dict[str, Any]:
        """Stop; the summary. `bad` are versions whose own errors are what is tried out."""
        for thread in self._waiting:
            thread.join()
        summary = self.running.stop()
        failed = [r for r in self.running.records() if r["error"] and not _own(r, bad)]
        unexplained = [r for r in failed if not any(cause.explains(r) for cause in self.causes)]
        assert unexplained == [], f"{len(unexplained)} failed without a cause, {self.causes}"
        lost = Counter(id(next(c for c in self.causes if c.explains(r))) for r in failed)
        for cause in self.causes:
            assert cause.victim == "router" or lost[id(cause)] <= IN_FLIGHT, f"{lost[id(cause)]} failed: {cause}"
        return summary


def _own(record: dict[str, Any], bad: Sequence[str]) -> bool:
    return record["error"] == "version" and record["version"] in bad


@contextmanager
def users(port: int, folder: Path, rate: float) -> Iterator[Users]:
    with load(f"http://127.0.0.1:{port}", folder, rate=rate) as running:
        running.wait_sent(50)
        yield Users(running, port)
