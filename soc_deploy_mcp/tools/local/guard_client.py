"""Talking to the guard of a target: one JSON line there, one back."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch, Instant, Slug
from soc_deploy_mcp.tools.local.state import RouterState

ANSWER_S = 10.0
_LINE_LIMIT = 8 * 1024 * 1024


class GuardDown(DeployError):
    """Nobody listens on the guard's socket. Whoever does not wait for it tells E_ROUTER_DOWN."""

    def __init__(self, why: str = "") -> None:
        super().__init__("E_ROUTER_DOWN", "the guard beside the router does not answer", why, "soc-deploy status")


class Conflict(Exception):
    """Somebody wrote since the status was read: read again and decide again."""


@dataclass(frozen=True, slots=True)
class Timer:
    kind: Literal["lease", "hold"]
    left_s: float
    weights: Mapping[Slug, int]  # where it goes when it fires


@dataclass(frozen=True, slots=True)
class Status:
    """What the guard has written. `state` is None before the first write."""

    epoch: Epoch
    seq: int
    version: str
    state: RouterState
    written: bool
    timer: Timer | None
    fired_at: Instant | None


@dataclass(frozen=True, slots=True)
class Fallback:
    """What the timer puts into force. `s` None: the deadline stays where it is."""

    kind: Literal["lease", "hold"]
    s: float | None
    state: RouterState
    version: str
    routes: str  # the file


def parse_status(body: Mapping[str, Any]) -> Status:
    """The answer to `status`, or the text of guard.json: they share these fields."""
    state, timer, fired = body["state"], body["timer"], body["fired"]
    return Status(
        epoch=Epoch(body["epoch"]),
        seq=body["seq"],
        version=body["version"],
        state=RouterState.from_json(state) if state else RouterState(),
        written=state is not None,
        timer=_timer(timer) if timer else None,
        fired_at=Instant(fired["at"]) if fired else None,
    )


def _timer(timer: Mapping[str, Any]) -> Timer:
    return Timer(timer["kind"], timer.get("left_s") or 0.0, timer["state"]["routes"]["weights"])


class GuardClient:
    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def status(self, within_s: float = ANSWER_S) -> Status:
        """Raises GuardDown."""
        return parse_status(await self._ask({"op": "status"}, within_s))

    async def claim(self, epoch: Epoch) -> None:
        """Take the target. Raises E_STALE_EPOCH, GuardDown."""
        await self._ask({"op": "claim", "epoch": epoch})

    async def renew(self, epoch: Epoch, lease_s: float | None) -> None:
        await self._ask({"op": "renew", "epoch": epoch, "lease_s": lease_s})

    async def apply(
        self,
        seen: Status,
        epoch: Epoch,
        *,
        state: RouterState,
        version: str,
        files: Mapping[str, str],
        fallback: Fallback | None,
        forget_fired: bool,
    ) -> None:
        """Write, if nobody wrote since `seen`. Raises Conflict, E_STALE_EPOCH, GuardDown."""
        await self._ask(
            {
                "op": "apply",
                "epoch": epoch,
                "seq": seen.seq,
                "version": version,
                "state": state.to_json(),
                "files": dict(files),
                "timer": _fallback_json(fallback) if fallback else None,
                "forget_fired": forget_fired,
            }
        )

    async def _ask(self, request: Mapping[str, Any], within_s: float = ANSWER_S) -> dict[str, Any]:
        try:
            async with asyncio.timeout(within_s):
                line = await self._exchange(json.dumps(request).encode() + b"\n")
            body: dict[str, Any] = json.loads(line)
        except (OSError, TimeoutError, ValueError) as failed:
            raise GuardDown(str(failed) or type(failed).__name__) from None
        if error := body.get("error"):
            raise _refused(str(error), body, request)
        return body

    async def _exchange(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(self._socket), limit=_LINE_LIMIT)
        try:
            writer.write(line)
            await writer.drain()
            return await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            raise OSError("the guard ended") from None
        finally:
            writer.close()


def _fallback_json(fallback: Fallback) -> dict[str, Any]:
    return {
        "kind": fallback.kind,
        "s": fallback.s,
        "state": fallback.state.to_json(),
        "version": fallback.version,
        "text": fallback.routes,
    }


def _refused(error: str, body: Mapping[str, Any], request: Mapping[str, Any]) -> Exception:
    if error == "conflict":
        return Conflict()
    if error == "stale_epoch":
        return stale(request["epoch"], body["epoch"])
    if error == "not_written":
        return DeployError(
            "E_ROUTER_DOWN",
            "the router's files could not be written; the traffic is as it was",
            str(body.get("why", "")),
            "df -h",
        )
    return DeployError("E_INTERNAL", f"the guard refused a request: {error}", str(body.get("why", "")))


def stale(ours: int, newer: int) -> DeployError:
    return DeployError(
        "E_STALE_EPOCH",
        f"this owner (epoch {ours}) was replaced: the target is at epoch {newer}",
        "A newer run has taken the target; what an older one still wants to write is refused.",
        "soc-deploy status",
    )
