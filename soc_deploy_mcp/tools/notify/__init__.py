"""Messages to people and systems. One attempt each: the outbox of the engine keeps, repeats and schedules."""

from soc_deploy_mcp.tools.notify.message import Delivery, Message, Writer

__all__ = ["Delivery", "Message", "Writer"]
