"""The webhook channel against real loopback servers."""

import asyncio
import hashlib
import hmac
import json
import socket
from contextlib import asynccontextmanager

import pytest
from pydantic import ValidationError

from soc_deploy_mcp.core.config.settings import WebhookChannel
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.redaction import MARK, Redactor
from soc_deploy_mcp.tools.notify import Message
from soc_deploy_mcp.tools.notify.message import Fact
from soc_deploy_mcp.tools.notify.webhook import Webhook
from soc_deploy_mcp.tools.secrets import Secrets

NOW = 1_700_000_000.5
MESSAGE = Message(
    event="succeeded",
    target="shop/prod",
    version="v2.1.0",
    status="✅ SUCCESS",
    title="shop v2.1.0 is live",
    facts=(Fact(name="Version", value="v2.1.0"),),
    dedupe_key="run_1:succeeded:team",
    not_before=5.0,
)


@pytest.fixture(autouse=True)
def _no_proxy_on_loopback(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@asynccontextmanager
async def receiver(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"):
    """A server that records what arrives and answers with these bytes; None: never, b"": hangs up."""
    seen = []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        seen.append((head.split("\r\n")[0], headers, body))
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", seen
    finally:
        server.close()


async def send(url, environ=None, key=None, redactor=None, timeout_s=30.0):
    secrets = Secrets(environ or {}, redactor or Redactor())
    channel = WebhookChannel(kind="webhook", url=url, key=key)
    return await Webhook(channel, secrets, lambda: NOW, timeout_s=timeout_s).send(MESSAGE)


def status(line, more=""):
    return f"HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n{more}\r\n".encode()


async def test_the_message_arrives_signed_and_once():
    async with receiver() as (url, seen):
        delivery = await send(url, {"HOOK_KEY": "signing-key-1"}, key="env:HOOK_KEY")
    assert (delivery.status, delivery.receipt) == ("sent", "HTTP 200")
    [(request, headers, body)] = seen
    assert request == "POST /hook HTTP/1.1"
    assert json.loads(body)["facts"] == [{"name": "Version", "value": "v2.1.0"}]
    assert "not_before" not in json.loads(body)
    assert headers["idempotency-key"] == "run_1:succeeded:team"
    assert headers["x-soc-timestamp"] == "1700000000"
    mac = hmac.new(b"signing-key-1", b"1700000000." + body, hashlib.sha256).hexdigest()
    assert headers["x-soc-signature"] == f"v1={mac}"


async def test_without_a_key_there_is_no_signature():
    async with receiver() as (url, seen):
        assert (await send(url)).status == "sent"
    assert "x-soc-signature" not in seen[0][1]


async def test_an_address_by_reference_is_a_secret():
    redactor = Redactor()
    async with receiver() as (url, _):
        assert (await send("env:HOOK", {"HOOK": url}, redactor=redactor)).status == "sent"
        assert redactor.text(f"posted to {url}") == f"posted to {MARK}"


@pytest.mark.parametrize(
    ("answer", "state", "after"),
    [
        (status("204 No Content"), "sent", None),
        (status("400 Bad Request"), "failed", None),
        (status("404 Not Found"), "failed", None),
        (status("410 Gone"), "failed", None),
        (status("408 Request Timeout"), "later", None),
        (status("429 Too Many Requests", "Retry-After: 120\r\n"), "later", 120),
        (status("503 Unavailable", "Retry-After: Tue, 14 Nov 2023 22:14:20 GMT\r\n"), "later", 59.5),
        (status("503 Unavailable", "Retry-After: soon\r\n"), "later", None),
        (status("500 Oops"), "later", None),
        (b"", "later", None),
        (b"nonsense\r\n\r\n", "later", None),
    ],
)
async def test_what_an_answer_means(answer, state, after):
    async with receiver(answer) as (url, seen):
        delivery = await send(url)
    assert (delivery.status, delivery.retry_after_s) == (state, after)
    assert len(seen) == 1


async def test_a_redirect_is_not_followed():
    async with (
        receiver() as (elsewhere, missed),
        receiver(status("307 T", f"Location: {elsewhere}\r\n")) as (url, seen),
    ):
        delivery = await send(url)
    assert delivery.status == "failed"
    assert "redirect" in delivery.receipt
    assert (len(seen), len(missed)) == (1, 0)


async def test_a_receiver_that_hangs_costs_the_timeout_only():
    async with receiver(None) as (url, _):
        delivery = await send(url, timeout_s=0.3)
    assert (delivery.status, delivery.receipt) == ("later", "no answer within 0.3 s")


async def test_nobody_there():
    with socket.socket() as taken:  # bound and not listening: refused, and nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        delivery = await send(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert (delivery.status, delivery.receipt) == ("later", "no connection")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "no-url", "http://[::1", "http://"])
async def test_an_address_that_is_none_fails_for_good(url):
    assert (await send(url)).status == "failed"


async def test_a_reference_that_leads_nowhere_is_said():
    with pytest.raises(DeployError, match="E_SECRET_UNRESOLVED"):
        await send("env:NOT_SET")


def test_a_message_survives_the_outbox():
    assert Message.from_json(MESSAGE.to_json()) == MESSAGE
    with pytest.raises(ValidationError):
        Message.from_json({**MESSAGE.to_json(), "extra": 1})
