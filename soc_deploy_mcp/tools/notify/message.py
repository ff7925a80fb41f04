"""What is told, and what became of it. Channels build their own wording from the fields of a message."""

from typing import Literal, Protocol

from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.model import Noun

Severity = Literal["info", "warning", "critical"]


class Fact(Noun):
    """One line: `Version: v2.1.0`."""

    name: str
    value: str


class Link(Noun):
    title: str
    url: str


class Message(Noun):
    """An event of a run, for people. `dedupe_key` is run id + event + channel: who gets it twice can tell."""

    event: str  # started, waiting_approval, approved, paused, rolled_back, succeeded, failed, alert, review_due
    target: str  # shop/prod
    version: str | None = None
    status: str  # as the report says it
    title: str
    facts: tuple[Fact, ...] = ()
    links: tuple[Link, ...] = ()
    severity: Severity = "info"
    dedupe_key: str
    not_before: Instant | None = None


class Delivery(Noun):
    """What one attempt came to. Only `sent` is a receipt; `later` may be tried again, `failed` never will work."""

    status: Literal["sent", "later", "failed"]
    receipt: str  # "HTTP 200", "connection refused", …
    retry_after_s: float | None = None  # the receiver's wish


class Writer(Protocol):
    """One channel."""

    async def send(self, message: Message) -> Delivery:
        """One attempt. Never raises for what the network or the receiver does; E_SECRET_UNRESOLVED for a reference."""
        ...
