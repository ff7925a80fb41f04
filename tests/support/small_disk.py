"""A disk of its own for a state home, which can be full: a tmpfs in a mount namespace that needs no root."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import kill_below

_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


@dataclass(frozen=True)
class SmallDisk:
    mount: Path
    keeper: int  # the process whose namespaces see the disk

    @property
    def inside(self) -> tuple[str, ...]:
        """Words to put before a command, so that it sees the disk."""
        return ("nsenter", "--target", str(self.keeper), "--user", "--mount", "--preserve-credentials", "--wd=.")

    def fill(self) -> None:
        """It shrinks to what is on it: full without a file that would take as much memory."""
        used = self._run("df", "--output=used", "-B1k", str(self.mount)).split()[-1]
        self._resize(f"{used}k")

    def free(self, megabytes: int) -> None:
        self._resize(f"{megabytes}m")

    def _resize(self, size: str) -> None:
        self._run("mount", "-o", f"remount,size={size}", str(self.mount))

    def _run(self, *words: str) -> str:
        return subprocess.run([*self.inside, *words], check=True, capture_output=True, text=True).stdout


@contextmanager
def small_disk(mount: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Skips the test where nobody may mount anything. What ran on the disk is killed with it."""
    if subprocess.run([*_NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody make a user namespace, so there is no disk to fill")
    script = 'mount -t tmpfs -o size="$1"m,mode=700 tmpfs "$2" && echo mounted && exec sleep infinity'
    argv = [*_NAMESPACE, "sh", "-c", script, "sh", str(megabytes), str(mount)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as keeper:
        try:
            assert keeper.stdout is not None
            if keeper.stdout.readline().strip() != "mounted":
                pytest.skip("this system lets nobody mount a tmpfs in a user namespace")
            yield SmallDisk(mount, keeper.pid)
        finally:
            kill_below(mount)
            keeper.kill()
