"""The arithmetic of the load generator, without any network."""

import contextlib
import json
import math

from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.interfaces.cli.demo.tally import LOST, RECENT, Latencies, Outcome, Tally
from soc_deploy_mcp.interfaces.cli.demo.wire import parse_answer

ERRORS = ("", "version", *LOST)
outcomes = st.builds(
    Outcome,
    kind=st.sampled_from(["get", "post", "slow"]),
    at=st.floats(1e9, 2e9),
    ms=st.floats(0, 1e5),
    status=st.sampled_from([0, 200, 500]),
    version=st.sampled_from(["none", "v1.0.0", 'v1.1.0-"odd"']),
    error=st.sampled_from(ERRORS),
)


@given(st.lists(st.floats(0.01, 1e5), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_at_most_two_percent_above_the_exact_one(latencies: list[float], share: float) -> None:
    histogram = Latencies()
    for ms in latencies:
        histogram.add(ms)
    exact = sorted(latencies)[math.ceil(share * len(latencies) - 1e-9) - 1]
    found = histogram.percentile(share)
    assert found is not None
    assert exact * 0.999 - 0.005 <= found <= exact * 1.0203 + 0.005  # rounded to 0.01 ms


@given(st.lists(outcomes))
def test_every_request_is_counted_once(seen: list[Outcome]) -> None:
    tally = Tally(sent=len(seen))
    for outcome in seen:
        tally.add(outcome)
    summary = tally.summary()
    assert summary["ok"] + summary["failed"] == summary["sent"]
    assert summary["under_way"] == 0
    assert sum(summary["by_class"].values()) == summary["failed"]
    assert summary["lost"] == summary["failed"] - summary["by_class"].get("version", 0)
    assert sum(group["ok"] + group["failed"] for group in summary["by_version"].values()) == len(seen)
    assert json.loads(json.dumps(summary)) == summary


@given(outcomes)
def test_a_record_is_one_line_of_json(outcome: Outcome) -> None:
    line = outcome.line()
    assert line.count("\n") == 1
    data = json.loads(line)
    assert (data["kind"], data["status"]) == (outcome.kind, outcome.status)
    assert (data["version"], data["error"]) == (outcome.version, outcome.error)


def test_recent_forgets_what_is_older() -> None:
    tally = Tally()
    tally.add(Outcome("get", 0, 1, 200, "v1"))
    for _ in range(RECENT - 1):
        tally.next_period()
        assert tally.live()["recent"]["by_version"]["v1"]["ok"] == 1
    tally.next_period()
    assert tally.live()["recent"]["by_version"] == {}
    assert tally.live()["ok"] == 1


@given(st.binary(max_size=300), st.booleans())
def test_an_answer_is_complete_exactly_when_all_of_it_is_there(body: bytes, close: bool) -> None:
    connection = b"Connection: Close\r\n" if close else b""
    head = b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\nX-Shop-Version: v1\r\n\r\n" % (connection, len(body))
    for size in range(len(head), len(head) + len(body)):
        assert parse_answer((head + body)[:size], len(head) - 4) is None
    assert parse_answer(head + body, len(head) - 4) == (200, "v1", not close)


@given(st.binary(max_size=200))
def test_no_head_makes_the_parser_stumble(text: bytes) -> None:
    buffer = b"HTTP/1." + text + b"\r\n\r\n"
    with contextlib.suppress(ValueError):  # the one error it may raise: counted as `protocol`
        parse_answer(buffer, buffer.find(b"\r\n\r\n"))
