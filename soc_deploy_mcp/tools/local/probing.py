"""Requests of our own through the real entry. A secret header lets them name a release and learn who answered."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.platform import Probe
from soc_deploy_mcp.tools.local import http1
from soc_deploy_mcp.tools.local.envoy import (
    CLUSTER_HEADER,
    RELEASE_HEADER,
    TOKEN_HEADER,
    UPSTREAM_HEADER,
    release_named,
)
from soc_deploy_mcp.tools.local.router import Router
from soc_deploy_mcp.tools.local.state import RouterState

TIMEOUT_S = 10.0


class Answered(NamedTuple):
    """How the router counted a probe it answered."""

    release: Slug
    cluster: str  # the release's own name or that of its spill-over
    status_class: int  # 2 for 2xx


class Prober:
    """The probes of one target: kept connections, and how many requests the judge must take off the counters."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._kept: http1.KeepAlive | None = None
        self._known: tuple[tuple[int, int], RouterState] | None = None  # by what changes with each write of the record
        self._token = ""
        self.counts: Counter[Answered] = Counter()

    async def probe(self, entry: tuple[str, int], release: Slug | None, path: str, method: str, fresh: bool) -> Probe:
        """Never raises for what the service or the router does: that is what a probe is for."""
        if release is not None and release not in self._state().slugs:
            return Probe(status=None, ms=0.0, error=f"{release} is not in the router")
        began = time.perf_counter()
        try:
            answer = await self._ask(entry, self._headers(entry, release), path, method, fresh)
        except (OSError, TimeoutError, http1.BadAnswer) as failed:
            error = str(failed) or f"no answer in {TIMEOUT_S:g} s"
            return Probe(status=None, ms=_ms(began), error=error)
        answered = self._answered_by(answer.headers.get(UPSTREAM_HEADER, ""))
        cluster = answer.headers.get(CLUSTER_HEADER, "")
        if release_named(cluster) in self._state().slugs:  # else the router answered itself, or held the request
            self.counts[Answered(answered or release_named(cluster), cluster, answer.status // 100)] += 1
        return Probe(answer.status, _ms(began), answered, answer.body.decode(errors="replace"))

    async def _ask(
        self, entry: tuple[str, int], headers: Mapping[str, str], path: str, method: str, fresh: bool
    ) -> http1.Answer:
        if fresh:
            return await http1.request(entry, method, path, headers=headers, timeout=TIMEOUT_S)
        if self._kept is None or self._kept.address != entry:
            self.close()
            self._kept = http1.KeepAlive(entry)
        return await self._kept.request(method, path, headers, TIMEOUT_S)

    def _headers(self, entry: tuple[str, int], release: Slug | None) -> dict[str, str]:
        self._token = self._token or self._router.token()
        aimed = {RELEASE_HEADER: release} if release else {}
        return {"host": f"{entry[0]}:{entry[1]}", TOKEN_HEADER: self._token, **aimed}

    def _answered_by(self, upstream: str) -> Slug | None:
        """The release whose instance has that address; nothing the application says counts."""
        port = upstream.rpartition(":")[2]
        return self._state().release_of(int(port)) if port.isdigit() else None

    def _state(self) -> RouterState:
        """What the guard wrote last, read again only after a write."""
        try:
            about = self._router.place.guard_record.stat()
        except OSError:
            return RouterState()
        mark = (about.st_ino, about.st_mtime_ns)
        if self._known is None or self._known[0] != mark:
            status = self._router.recorded()
            self._known = (mark, status.state if status else RouterState())
        return self._known[1]

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000
