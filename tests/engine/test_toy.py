"""The toy leaves nothing behind in the tree it is run from."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
from tests.engine import toy
toy._fill_the_disk(toy.Target(Path(sys.argv[1]) / "target"))
sys.path.insert(0, sys.argv[1])
import long_module
(Path(sys.argv[1]) / "target/room").touch()
"""


def test_a_process_without_room_leaves_no_cut_off_module(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "journal.db-wal").write_bytes(b"x" * 20)
    (tmp_path / "long_module.py").write_text("TEXT = " + repr("long " * 100) + "\n")
    tree = Path(__file__).parents[2]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    words = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(words, cwd=tree, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*.pyc*"))
