"""The key that seals questions."""

import stat
import threading
from pathlib import Path

from soc_deploy_mcp.interfaces.mcp.keys import request_state_key


def test_it_is_made_once_and_private(tmp_path: Path) -> None:
    first = request_state_key(str(tmp_path))
    assert len(first) == 32
    assert request_state_key(str(tmp_path)) == first
    path = tmp_path / "keys" / "request-state"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [found.name for found in path.parent.iterdir()] == ["request-state"]


def test_whoever_comes_at_the_same_time_gets_the_same(tmp_path: Path) -> None:
    found: set[bytes] = set()
    threads = [threading.Thread(target=lambda: found.add(request_state_key(str(tmp_path)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
