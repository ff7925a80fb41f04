"""Where the daemon's log lines go: stderr, which is daemon.log. Redacted like every other output."""

import logging

from soc_deploy_mcp.core.redaction import Redactor


class _Redacted(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(super().format(record))


def write_logs(redactor: Redactor) -> None:
    """Must come before the MCP server is built, which would install a handler of its own."""
    lines = logging.StreamHandler()
    lines.setFormatter(_Redacted(redactor))
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    logging.getLogger("mcp").setLevel(logging.WARNING)  # its notes name what callers sent
    logging.raiseExceptions = False  # a full disk must not end a run
