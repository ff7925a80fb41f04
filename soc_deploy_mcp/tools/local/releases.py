"""Releases on disk: fetched, prepared, sealed; kept or pruned.

A release is prepared where it will run, because build tools write absolute paths into what they make. So it is not the
directory that says a release is whole but the record beside it, which is written last.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Instant, Slug
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.core.times import iso
from soc_deploy_mcp.tools.local import artifacts, launch
from soc_deploy_mcp.tools.local.layout import Place, write_atomic

SPARE_MB = 500  # that must stay free besides three times the artifact
# What build tools need to reach their registries; nothing else of our environment goes to them.
_PASSED = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_PASSED_PREFIXES = ("PIP_", "UV_", "NPM_CONFIG_", "CARGO_", "GOPROXY", "GOFLAGS")


def record(place: Place, slug: Slug) -> Path:
    return place.releases / f"{slug}.json"


def sealed(place: Place, slug: Slug) -> bool:
    return record(place, slug).exists() and place.release(slug).is_dir()


def secrets(place: Place, slug: Slug) -> tuple[str, ...]:
    """The references of the secrets that a release on the disk is started with; none where there is no record."""
    try:
        document = json.loads(record(place, slug).read_text())
    except (OSError, ValueError):
        return ()
    return tuple(Release.from_json(document["release"]).spec.secrets.values())


async def seal(place: Place, release: Release) -> Path:
    """The directory of a release, complete and read-only; made now if it is not there yet.

    Raises E_LOW_DISK, E_ARTIFACT, E_ARTIFACT_MISMATCH, E_PREPARE_FAILED.
    """
    directory = place.release(release.slug)
    if sealed(place, release.slug):
        return directory
    place.make()
    async with _alone(place.releases / f".{release.slug}.lock"):
        if not sealed(place, release.slug):
            await _make(place, release, directory)
    return directory


@contextlib.asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    """One maker at a time, also among several processes."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


async def _make(place: Place, release: Release, directory: Path) -> None:
    await asyncio.to_thread(_clear, release, directory)
    await artifacts.fetch(release.artifact, directory)
    for argv in release.spec.prepare:
        await _prepare(place, release, directory, argv)
    await asyncio.to_thread(_read_only, directory)
    document = {"release": release.to_json(), "sealed_at": iso(Instant(time.time()))}
    write_atomic(record(place, release.slug), json.dumps(document))


def _clear(release: Release, directory: Path) -> None:
    """An empty directory with enough space for the release; what an earlier attempt left behind is gone."""
    delete(directory)
    check_space(directory.parent, artifacts.size_bytes(release.artifact))
    directory.mkdir(mode=0o700)


def check_space(path: Path, needed: int) -> None:
    """Three times the artifact and a reserve. Raises E_LOW_DISK."""
    free, wanted = shutil.disk_usage(path).free, 3 * needed + SPARE_MB * 1024 * 1024
    if free < wanted:
        raise DeployError(
            "E_LOW_DISK",
            f"{wanted // 1048576} MB are needed on the disk of {path}, {free // 1048576} MB are free",
            "Three times the artifact and a reserve of 500 MB.",
            f"df -h {path}",
        )


def build_environment(release: Release) -> dict[str, str]:
    """For `prepare`: no secrets, but what reaches a package registry."""
    passed = {k: v for k, v in os.environ.items() if k.upper() in _PASSED or k.startswith(_PASSED_PREFIXES)}
    return launch.base_environment() | passed | {"VERSION": release.version} | release.spec.env


async def _prepare(place: Place, release: Release, directory: Path, argv: tuple[str, ...]) -> None:
    log = place.releases / f"{release.slug}.prepare.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        code = await _run(argv, directory, build_environment(release), descriptor, release.spec.prepare_timeout_s)
    finally:
        os.close(descriptor)
    if code != 0:
        how = f"ended with exit code {code}" if code is not None else "took too long"
        last = log.read_text(errors="replace").splitlines()[-20:]
        raise DeployError(
            "E_PREPARE_FAILED",
            f"preparing {release.version}: {' '.join(argv)} {how}",
            "\n".join(last)[-4096:],
            f"cd {directory} && {' '.join(argv)}",
        )


async def _run(
    argv: tuple[str, ...], directory: Path, environment: dict[str, str], output: int, timeout: float
) -> int | None:
    """Exit code; None when it did not end in time. Nothing it started is left over."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=directory,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as failed:
        os.write(output, f"{argv[0]}: {failed.strerror}\n".encode())
        return 127
    try:
        async with asyncio.timeout(timeout):
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _read_only(directory: Path) -> None:
    for folder, _, files in os.walk(directory, topdown=False):
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)
        Path(folder).chmod(Path(folder).stat().st_mode & ~0o222)


def delete(directory: Path) -> None:
    """Remove a directory tree, a read-only one too."""
    if not directory.exists():
        return
    for folder, _, _ in os.walk(directory):
        Path(folder).chmod(0o700)
    shutil.rmtree(directory)


# --- for people, and for space


def activate(place: Place, slug: Slug, at: Instant) -> None:
    """Point `current` at a release that became stable, and note it in `revisions.log`. The platform reads neither."""
    draft = place.root / f".current.{os.getpid()}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(Path("rel") / slug)
    draft.replace(place.root / "current")
    with (place.root / "revisions.log").open("a") as log:
        log.write(json.dumps({"at": iso(at), "release": slug}) + "\n")


def prune(place: Place, keep: int, pinned: Collection[Slug]) -> tuple[Slug, ...]:
    """Delete all but the `keep` releases that were sealed last and the pinned ones, with the logs of their
    instances. Returns what was deleted."""
    records = sorted(place.releases.glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True)
    old = [Slug(path.stem) for path in records[keep:] if path.stem not in pinned]
    for slug in old:
        record(place, slug).unlink(missing_ok=True)
        delete(place.release(slug))
        (place.releases / f"{slug}.prepare.log").unlink(missing_ok=True)
        (place.releases / f".{slug}.lock").unlink(missing_ok=True)
        for log in place.instances.glob(f"{slug}-*"):
            delete(log)
    return tuple(old)
