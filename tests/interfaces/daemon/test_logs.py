"""The daemon's log, in a process of its own: the test runner has its own handlers."""

import subprocess
import sys

from soc_deploy_mcp.core.redaction import MARK

SECRET = "s3cr3t-v4lue-xyz"
SCRIPT = f"""
import logging
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.interfaces.daemon.logs import write_logs

write_logs(Redactor([{SECRET!r}]))
log = logging.getLogger("test")
log.warning("it said %s", {SECRET!r})
try:
    raise RuntimeError({SECRET!r})
except RuntimeError:
    log.exception("x" * 100_000)
print("alive", flush=True)
"""


def test_lines_and_tracebacks_are_redacted() -> None:
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120).stderr
    assert SECRET not in told
    assert told.count(MARK) == 2
    assert "RuntimeError" in told


def test_a_full_disk_ends_nothing() -> None:
    with open("/dev/full", "w") as full:
        child = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=full, timeout=120)
    assert child.stdout == b"alive\n"
