"""The daemon and the router are killed at once, in the middle of a release: nobody needs to do anything. `make
test-crash` does it everywhere, to everybody."""

from pathlib import Path

from tests.crash.stage import stage
from tests.crash.strikes import Strike


def test_a_release_goes_on_when_the_daemon_and_the_router_are_killed(
    versions: Path, home: Path, tmp_path: Path
) -> None:
    with stage(versions, home, tmp_path) as here:
        ran = here.deploy("blue-green", "good", [Strike("intent switch/0-shift", ("daemon", "router"))])
        assert ran.shares == [0, 100]
        summary = here.users.check()
    assert summary["by_version"][ran.new]["ok"] > 0
