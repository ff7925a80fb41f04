"""The webhook channel: one signed POST of canonical JSON.

The receiver checks `X-SOC-Signature: v1=<hex HMAC-SHA256(key, timestamp + "." + body)>` and refuses a timestamp that
is more than 300 s off.
"""

import asyncio
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from soc_deploy_mcp.core.canonical import canonical
from soc_deploy_mcp.core.config.settings import WebhookChannel
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.tools.notify.message import Delivery, Message
from soc_deploy_mcp.tools.secrets import Secrets

TIMEOUT_S: Final = 10.0  # for the whole attempt

_REFERENCE = re.compile(r"(?:env:[A-Za-z_]\w*|file:/\S+)")
_AGAIN = frozenset({408, 425, 429})  # client errors that pass; every 5xx does as well


@dataclass(frozen=True)
class Webhook:
    """A channel of soc-deploy.yaml. Redirects are not followed: only the configured address is written to."""

    channel: WebhookChannel
    secrets: Secrets
    now: Callable[[], Instant]
    timeout_s: float = TIMEOUT_S

    async def send(self, message: Message) -> Delivery:
        url = self._resolved(self.channel.url)
        body = canonical(message.model_dump(mode="json", exclude={"not_before"}))
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.dedupe_key}
        if self.channel.key is not None:
            headers |= signature(self._resolved(self.channel.key).encode(), body, self.now())
        try:
            async with asyncio.timeout(self.timeout_s), httpx.AsyncClient(timeout=None) as client:
                answer = await client.post(url, content=body, headers=headers, follow_redirects=False)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            return Delivery(status="failed", receipt="the address is no http or https URL")
        except (httpx.HTTPError, TimeoutError) as error:
            return Delivery(status="later", receipt=_trouble(error, self.timeout_s))
        return _judged(answer, self.now())

    def _resolved(self, text: str) -> str:
        return self.secrets.resolve(text).get_secret_value() if _REFERENCE.fullmatch(text) else text


def signature(key: bytes, body: bytes, now: Instant) -> dict[str, str]:
    """The two headers by which a receiver knows that the body is ours and new."""
    stamp = str(int(now))
    mac = hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-SOC-Timestamp": stamp, "X-SOC-Signature": f"v1={mac}"}


def _judged(answer: httpx.Response, now: Instant) -> Delivery:
    code, receipt = answer.status_code, f"HTTP {answer.status_code}"
    if 200 <= code < 300:
        return Delivery(status="sent", receipt=receipt)
    if 300 <= code < 400:
        return Delivery(status="failed", receipt=f"{receipt}, and redirects are not followed")
    if code in _AGAIN or code >= 500:
        wait = _seconds(answer.headers.get("Retry-After", ""), now)
        return Delivery(status="later", receipt=receipt, retry_after_s=wait)
    return Delivery(status="failed", receipt=receipt)


def _seconds(retry_after: str, now: Instant) -> float | None:
    """Seconds or a date (RFC 9110, 10.2.3); anything else is no wish."""
    if re.fullmatch(r"\d{1,9}", retry_after):
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, at.timestamp() - datetime.fromtimestamp(now, UTC).timestamp())


def _trouble(error: Exception, timeout_s: float) -> str:
    """Our own words: messages of the HTTP library may hold the address, which may be a secret."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    return "the connection broke"
