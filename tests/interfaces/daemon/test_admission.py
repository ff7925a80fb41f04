"""Which clients a daemon takes when versions differ."""

import pytest

from soc_deploy_mcp.interfaces.daemon.admission import admit
from soc_deploy_mcp.interfaces.daemon.hello import PROTOCOL, Hello

RUN = "run_1"


@pytest.mark.parametrize(
    ("version", "protocol", "again", "run", "word"),
    [
        ("0.1.0", PROTOCOL, False, None, "yes"),
        ("0.1.0", PROTOCOL, False, RUN, "yes"),
        ("0.2.0", PROTOCOL, False, RUN, "yes"),
        ("0.2.0", PROTOCOL, False, None, "retry"),
        ("0.2.0", PROTOCOL, True, None, "yes"),
        ("0.0.9", PROTOCOL, False, None, "retry"),
        ("0.2.0", PROTOCOL + 1, False, None, "retry"),
        ("0.2.0", PROTOCOL + 1, True, None, "retry"),
        ("0.2.0", PROTOCOL + 1, False, RUN, "no"),
        ("0.1.0", PROTOCOL + 1, True, RUN, "no"),
    ],
)
def test_the_table(version: str, protocol: int, again: bool, run: str | None, word: str) -> None:
    ack = admit(Hello(version, 1, "mcp", "/", "/", protocol, again), "0.1.0", 7, run)
    assert ("yes" if ack.ok else "retry" if ack.retry else "no") == word
    assert (ack.version, ack.pid) == ("0.1.0", 7)


def test_a_refusal_names_the_run_and_the_way_out() -> None:
    ack = admit(Hello("0.2.0", 1, "mcp", "/", "/", PROTOCOL + 1), "0.1.0", 7, RUN)
    assert ack.code == "E_DAEMON_OLDER"
    assert RUN in ack.why
    assert ack.try_ == "soc-deploy daemon stop --force"
