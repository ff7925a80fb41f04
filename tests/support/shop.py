"""Versions of the example shop: as a repository to deploy from, as a folder, as a running process."""

import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from soc_deploy_mcp.core.config.project import FILE, Config, merge
from soc_deploy_mcp.interfaces.cli.demo import repository
from tests.support.home import free_port
from tests.support.processes import wait_for


def write_settings(path: Path, port: int, changes: Mapping[str, Any] | None = None) -> None:
    """Commit the demo's soc-deploy.yaml to the repository `path`, merged with `changes` (mappings key by key)."""
    document = yaml.safe_load(repository.demo_settings(f"127.0.0.1:{port}"))
    text = yaml.safe_dump(merge(document, dict(changes or {})), sort_keys=False)
    Config.read(text)
    (path / FILE).write_text(text)
    repository.commit(path, "Settings of soc-deploy")


@dataclass
class Shop:
    """One instance, without any platform around it."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, timeout_s: float = 30) -> tuple[int, dict[str, str], str]:
        """Status, headers (names in lower case) and body. Raises OSError where nobody answers."""
        try:
            answer = urllib.request.urlopen(self.url + path, timeout=timeout_s)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, headers, answer.read().decode()

    def listens(self) -> bool:
        try:
            self.get("/healthz")
        except OSError:
            return False
        return True

    def counters(self) -> dict[tuple[str, int], int]:
        """Answers by route and status, from its metrics."""
        found = re.findall(r'shop_requests_total\{.*route="(.*)",code="(\d+)"\} (\d+)', self.get("/metrics")[2])
        return {(route, int(code)): int(count) for route, code, count in found}

    def stop(self, within_s: float = 30) -> int:
        """SIGTERM, and the exit code."""
        self.process.terminate()
        return self.process.wait(within_s)


@contextmanager
def shop(folder: Path, version: str = "v1.0.0", wait: bool = True, port: int = 0) -> Iterator[Shop]:
    """A running shop of that version, its files in `folder`. Killed at the end if it still runs. port 0: a free one."""
    folder.mkdir(parents=True, exist_ok=True)
    repository.lay_out(folder, repository.catalogue()[version])
    port, log = port or free_port(), folder.with_name(f"{folder.name}.log")
    command = [sys.executable, "server.py", "--port", str(port)]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        running = Shop(process, port, log)
        try:
            if wait:
                wait_for(lambda: running.listens() or process.poll() is not None)
                assert process.poll() is None, log.read_text()
            yield running
        finally:
            process.kill()
