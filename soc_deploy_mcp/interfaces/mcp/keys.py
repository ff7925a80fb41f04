"""The key that seals questions on their way through a client: kept, so that they survive a restart of the daemon."""

import contextlib
import os
import secrets
from pathlib import Path


def request_state_key(home: str) -> bytes:
    """32 random bytes from `keys/request-state` of the state home (0600), made once."""
    path = Path(home) / "keys" / "request-state"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):  # another process was faster: its key counts
            os.link(draft, path)
        draft.unlink()
    return path.read_bytes()
