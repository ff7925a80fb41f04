"""Which messages follow from a journal row, and how one is sent. The outbox keeps, retries and records."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from soc_deploy_mcp.core.config.settings import Notify
from soc_deploy_mcp.core.event import Announced, Record, payload
from soc_deploy_mcp.core.ids import Instant, RunId
from soc_deploy_mcp.engine.outbox import Later, Message, Outgoing, Refused, Send
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.tools.notify import Message as Letter
from soc_deploy_mcp.tools.notify.message import Fact, Severity
from soc_deploy_mcp.tools.notify.webhook import Webhook
from soc_deploy_mcp.tools.secrets import Secrets

PAGED = frozenset({"started", "paused", "rolled_back", "failed"})  # what the on-call engineer hears of
_SEVERITY: Mapping[str, Severity] = {"paused": "warning", "rolled_back": "warning", "failed": "critical"}


def follow(notify_of: Callable[[str], Notify]) -> Callable[[Run, Record], Iterable[Message]]:
    """`Outbox.announce`: an `announced` row becomes one message a channel that wants to hear of it."""

    def announce(run: Run, record: Record) -> Iterable[Message]:
        said = payload(record)
        if not isinstance(said, Announced):
            return ()
        notify = notify_of(run.project)
        names = [*notify.events.get(said.event, ()), *notify.events.get("all", ())]
        if notify.oncall is not None and said.event in PAGED:
            names.append(notify.oncall)
        return [_message(run, record, said, name, notify) for name in dict.fromkeys(names)]

    return announce


def _message(run: Run, record: Record, said: Announced, channel: str, notify: Notify) -> Message:
    letter = Letter(
        event=said.event,
        target=run.name,
        version=run.version,
        status=run.state.value,
        title=said.line,
        facts=(Fact(name="Run", value=run.id), Fact(name="Report", value=f"soc-deploy report {run.id}")),
        severity=_SEVERITY.get(said.event, "info"),
        dedupe_key=f"{run.id}:{said.event}:{channel}:{record.seq}",
    )
    label = notify.channels[channel].label or channel
    return Message(event=said.event, channel=channel, label=label, body=letter.to_json(), again=str(record.seq))


def sender(
    notify_of: Callable[[str], Notify],
    project_of: Callable[[RunId], Awaitable[str]],
    secrets: Secrets,
    now: Callable[[], Instant],
) -> Send:
    """`Outbox.send`: one attempt on the channel as it is configured now."""

    async def send(outgoing: Outgoing) -> str:
        channels = notify_of(await project_of(outgoing.run)).channels
        if outgoing.channel not in channels:
            raise Refused(f"channel {outgoing.channel} is not configured any more")
        delivery = await Webhook(channels[outgoing.channel], secrets, now).send(Letter.from_json(outgoing.body))
        if delivery.status == "later":
            raise Later(delivery.receipt, delivery.retry_after_s)
        if delivery.status == "failed":
            raise Refused(delivery.receipt)
        return delivery.receipt

    return send
