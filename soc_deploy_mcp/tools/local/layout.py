"""Where everything of a target lies. Directories 0700, files 0600; only the router's own files are in `xds`, because
any rename there makes the router read every source again."""

import os
from dataclasses import dataclass
from pathlib import Path

from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.release import Target

SOCKET_LIMIT = 100  # bytes; the kernel's limit is 108


@dataclass(frozen=True, slots=True)
class Place:
    """The directory of one target: `$SOC_DEPLOY_HOME/t/<12 hex>`."""

    home: Path
    root: Path

    @classmethod
    def of(cls, home: Path, target: Target) -> "Place":
        return cls(home, home / "t" / target.id)

    @property
    def run(self) -> Path:
        return self.root / "r"

    @property
    def xds(self) -> Path:
        return self.run / "xds"

    @property
    def admin(self) -> Path:
        return self.run / "a.sock"

    @property
    def guard(self) -> Path:
        return self.run / "guard.sock"

    @property
    def guard_record(self) -> Path:
        return self.run / "guard.json"

    @property
    def boot(self) -> Path:
        return self.run / "boot.json"

    @property
    def token(self) -> Path:
        return self.run / "probe.token"

    @property
    def guard_shim(self) -> Path:
        return self.run / "guard"

    @property
    def router_shim(self) -> Path:
        return self.run / "envoy"

    @property
    def instances(self) -> Path:
        return self.root / "i"

    @property
    def releases(self) -> Path:
        return self.root / "rel"

    @property
    def shared(self) -> Path:
        return self.root / "shared"

    def release(self, slug: Slug) -> Path:
        return self.releases / slug

    def make(self) -> None:
        for part in (self.home, self.root.parent, self.root, self.run, self.xds, self.instances):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in (self.releases, self.shared, self.guard_shim, self.router_shim):
            part.mkdir(mode=0o700, exist_ok=True)


def write_atomic(path: Path, text: str, mode: int = 0o600) -> None:
    """The file holds either its old text or the new one, whatever happens in between."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
