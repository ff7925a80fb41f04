"""The first line each way on the socket: who comes, from which project, and whether the daemon takes them.

    {"soc_deploy":1,"version":"0.1.0","pid":1,"role":"mcp","cwd":"/home/a/shop/src","project":"/home/a/shop"}
    {"ok":true,"version":"0.1.0","pid":2}          or  {"ok":false,"code":"E_…","retry":true,"what":"…","try":"…"}

A key that is not known is ignored, so a later version may say more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

VERSION = "0.1.0"  # of the distribution; a test holds it equal to pyproject.toml
PROTOCOL = 1  # of the lines after this one; a daemon with open runs serves other versions that speak the same
LONGEST = 65_536  # bytes of a hello
TIMEOUT = 5.0  # seconds that either side waits for the other's line

ROLES = ("mcp", "cli")


class Hello(NamedTuple):
    version: str
    pid: int
    role: str
    cwd: str
    project: str
    protocol: int = PROTOCOL
    again: bool = False  # the same client session as before, after the daemon was lost

    def line(self) -> bytes:
        said = self._asdict()
        return _line({"soc_deploy": said.pop("protocol"), **said})

    @classmethod
    def read(cls, line: bytes) -> Hello:
        """ValueError for anything that is no hello."""
        said = _object(line)
        role, project = _text(said, "role"), _text(said, "project")
        if role not in ROLES:
            raise ValueError(f"role {role!r}")
        if not os.path.isabs(project) or "\0" in project:
            raise ValueError("the project is no absolute path")
        version, cwd = _text(said, "version"), _text(said, "cwd")
        numbers = _number(said, "pid"), _number(said, "soc_deploy")
        return cls(version, numbers[0], role, cwd, project, numbers[1], said.get("again") is True)


class Ack(NamedTuple):
    ok: bool
    version: str = ""
    pid: int = 0
    code: str = ""
    what: str = ""
    why: str = ""
    try_: str = ""
    retry: bool = False  # refused, but another attempt will find another daemon

    def line(self) -> bytes:
        said = {key.rstrip("_"): value for key, value in self._asdict().items() if value or key == "ok"}
        return _line(said)

    @classmethod
    def read(cls, line: bytes) -> Ack:
        said = _object(line)
        if not isinstance(said.get("ok"), bool):
            raise ValueError("no answer")
        words = {key: str(said.get(key, "")) for key in ("version", "code", "what", "why")}
        pid = said.get("pid")
        return cls(
            ok=said["ok"],
            pid=pid if isinstance(pid, int) else 0,
            retry=said.get("retry") is True,
            try_=str(said.get("try", "")),
            **words,
        )


def project_of(role: str, cwd: str, environ: Mapping[str, str]) -> str:
    """The project's root: what the MCP client names, else the nearest directory at or above `cwd` that holds
    soc-deploy.yaml or .git, else `cwd`. Somebody who types in a terminal means where they stand."""
    named = environ.get("CLAUDE_PROJECT_DIR", "") if role == "mcp" else ""
    if os.path.isabs(named) and os.path.isdir(named):
        return os.path.realpath(named)
    here = os.path.realpath(cwd)
    while True:
        if any(os.path.exists(os.path.join(here, sign)) for sign in ("soc-deploy.yaml", ".git")):
            return here
        above = os.path.dirname(here)
        if above == here:
            return os.path.realpath(cwd)
        here = above


def hello_of(role: str, environ: Mapping[str, str], *, again: bool = False) -> Hello:
    """What this process says of itself."""
    try:
        cwd = os.getcwd()
    except OSError:  # the directory was removed under the client
        cwd = "/"
    return Hello(VERSION, os.getpid(), role, cwd, project_of(role, cwd, environ), again=again)


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST:
        raise ValueError("too long")
    try:
        said = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(said, dict):
        raise ValueError("not an object")
    return said


def _text(said: Mapping[str, Any], key: str) -> str:
    value = said.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is missing")
    return value


def _number(said: Mapping[str, Any], key: str) -> int:
    value = said.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{key} is missing")
    return value
