"""The load generator as a process of its own, for tests and benchmarks."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soc_deploy_mcp.interfaces.cli.demo import load as generator
from tests.support.processes import wait_for


@dataclass
class Load:
    process: subprocess.Popen[str]
    folder: Path

    def live(self) -> dict[str, Any]:
        """The counters of at most half a second ago; {} before the first."""
        file = self.folder / "live.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def wait_sent(self, count: int, within_s: float = 60) -> None:
        """Until so many requests have been answered or have failed."""
        wait_for(lambda: self.live().get("sent", 0) - self.live().get("under_way", 0) >= count, within_s)

    def stop(self, within_s: float = 60) -> dict[str, Any]:
        """SIGTERM (nothing, if it has ended by itself), and the summary."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=within_s)
        assert self.process.returncode == 0
        return dict(json.loads(output))

    def records(self) -> list[dict[str, Any]]:
        """Every request so far, in the order in which they ended; all of them after stop()."""
        text = (self.folder / "record.jsonl").read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


@contextmanager
def load(url: str, folder: Path, **options: float) -> Iterator[Load]:
    """Steady load on `url` from here to the end of the block: `load(url, tmp_path, rate=300, new=0.2, websockets=5)`.

    The options are those of `load.py --help`. Whoever wants the summary calls stop() inside of the block.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    files = ["--live", str(folder / "live.json"), "--record", str(folder / "record.jsonl")]
    command = [sys.executable, generator.__file__, url, *files, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Load(process, folder)
        finally:
            process.kill()
