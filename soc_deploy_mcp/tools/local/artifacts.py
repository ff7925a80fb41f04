"""Where a release's files come from: a git commit, a directory or a tarball. Fixed by a digest before the gate,
fetched with the same digest behind it.

The digest is over the source, before `prepare`: path, whether it is executable, and content.
"""

import asyncio
import contextlib
import difflib
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.config.service import DirArtifact, GitArtifact, TarballArtifact
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.release import Artifact
from soc_deploy_mcp.tools.local import launch

GIT_S = 120.0
LEFT_OUT = frozenset({".git", ".soc-deploy", "__pycache__"})  # of a directory
ArtifactSpec = GitArtifact | DirArtifact | TarballArtifact


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or link of a source."""

    path: str
    mode: str  # file | exec | link
    content: str  # sha256 of the content; of a link, its target


def digest_of(entries: Iterable[Entry]) -> str:
    """The artifact digest: sha256, 64 hex digits. The order of the entries and their times do not matter."""
    return digest(sorted([e.path, e.mode, e.content] for e in entries))


async def resolve(spec: ArtifactSpec, version: str, project: Path) -> Artifact:
    """Find the source of a version and fix its digest. Raises E_REF_NOT_FOUND, E_NO_REPOSITORY, E_ARTIFACT."""
    return await asyncio.to_thread(_resolve, spec, version, project)


async def fetch(artifact: Artifact, destination: Path) -> None:
    """Put the files into an existing empty directory. Raises E_ARTIFACT_MISMATCH when they are not those of the
    digest, E_ARTIFACT when they cannot be read."""
    await asyncio.to_thread(_fetch, artifact, destination)


def _resolve(spec: ArtifactSpec, version: str, project: Path) -> Artifact:
    match spec:
        case GitArtifact():
            return _resolve_git(project / spec.git, spec.ref, version)
        case DirArtifact():
            source = _existing(project / spec.dir.replace("{version}", version), directory=True)
            return Artifact(
                kind="dir",
                source=str(source),
                digest=digest_of(tree_entries(source, _listed(source))),
                provenance="unversioned directory",
            )
        case TarballArtifact():
            source = _existing(project / spec.tarball.replace("{version}", version), directory=False)
            return _resolve_tarball(source, spec.sha256)


def _fetch(artifact: Artifact, destination: Path) -> None:
    source = Path(artifact.source)
    match artifact.kind:
        case "git":
            with _archived(source, artifact.commit or "") as tar:
                _extract(tar, destination, strip="")
        case "dir":
            _copy(_existing(source, directory=True), destination)
        case "tarball":
            with _opened(source) as tar:
                _extract(tar, destination, strip=_leading(tar))
    found = digest_of(tree_entries(destination, _walk(destination)))
    if found != artifact.digest:
        raise DeployError(
            "E_ARTIFACT_MISMATCH",
            f"{artifact.source} is not what was planned",
            f"The plan holds digest {artifact.digest[:12]}, the files have {found[:12]}.",
            "make a new plan: repeat the deploy command",
        )


def size_bytes(artifact: Artifact) -> int:
    """How much space its files take, roughly; for the check of the free space."""
    source = Path(artifact.source)
    if artifact.kind == "tarball":
        return source.stat().st_size * 4
    if artifact.kind == "dir":
        return sum((source / name).lstat().st_size for name in _listed(source))
    listing = _git(source, "ls-tree", "-r", "-l", artifact.commit or "HEAD")
    return sum(int(size) for size in re.findall(r"^\S+ blob \S+ +(\d+)\t", listing, re.MULTILINE))


# --- git


def _resolve_git(repository: Path, ref: str, version: str) -> Artifact:
    repository = repository.resolve()
    if not repository.is_dir() or _git_or_none(repository, "rev-parse", "--git-dir") is None:
        raise DeployError("E_NO_REPOSITORY", f"{repository} is no git repository", "", f"git -C {repository} init")
    for name in _spellings(ref, version):
        commit = _git_or_none(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if commit:
            return _git_artifact(repository, commit.strip(), name)
    raise _no_such_ref(repository, ref.replace("{version}", version))


def _spellings(ref: str, version: str) -> list[str]:
    """Tags are written with and without the leading v."""
    bare = version.removeprefix("v")
    return list(dict.fromkeys(ref.replace("{version}", spelled) for spelled in (version, bare, f"v{bare}")))


def _git_artifact(repository: Path, commit: str, name: str) -> Artifact:
    with _archived(repository, commit) as tar:
        found = digest_of(tar_entries(tar, strip=""))
    tagged = _git_or_none(repository, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}")
    called = f"tag {name}" if tagged else name
    source = f"git commit {commit[:7]}" + ("" if commit.startswith(name) else f" ({called})")
    return Artifact(kind="git", source=str(repository), commit=commit, digest=found, provenance=source)


def _no_such_ref(repository: Path, ref: str) -> DeployError:
    tags = (_git_or_none(repository, "tag", "--list") or "").split()
    near = difflib.get_close_matches(ref, tags, 3, 0.3)
    why = f"Nearest tags: {', '.join(near)}." if near else f"The repository has {len(tags)} tags."
    way = f"--version {near[0]}" if near else f"git -C {repository} tag {ref}"
    return DeployError("E_REF_NOT_FOUND", f"{ref} is no tag, branch or commit of {repository}", why, way)


def _git_argv(repository: Path, *words: str) -> list[str]:
    return ["git", "-C", str(repository), *words]


def _git_environment() -> dict[str, str]:
    return launch.base_environment() | {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def _git(repository: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            _git_argv(repository, *words),
            capture_output=True,
            timeout=GIT_S,
            env=_git_environment(),
            stdin=subprocess.DEVNULL,
            check=True,
        )
    except FileNotFoundError:
        raise unreadable("git is not installed", "") from None
    except subprocess.CalledProcessError as failed:
        said = failed.stderr.decode(errors="replace").strip().splitlines()
        raise unreadable(f"git {words[0]} failed in {repository}", said[-1] if said else "") from None
    except subprocess.TimeoutExpired:
        raise unreadable(f"git {words[0]} took longer than {GIT_S:.0f} s", "") from None
    return done.stdout.decode(errors="replace")


def _git_or_none(repository: Path, *words: str) -> str | None:
    try:
        return _git(repository, *words)
    except DeployError as failed:
        if "dubious ownership" in failed.why or "not installed" in failed.what:
            raise
        return None


@contextlib.contextmanager
def _archived(repository: Path, commit: str) -> Iterator[tarfile.TarFile]:
    """A commit as a tar file: no hooks run, nothing is checked out."""
    with tempfile.TemporaryFile() as file:
        done = subprocess.run(
            _git_argv(repository, "archive", "--format=tar", commit),
            stdout=file,
            stderr=subprocess.PIPE,
            timeout=GIT_S,
            env=_git_environment(),
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise unreadable(f"commit {commit[:12]} of {repository} cannot be read", said)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            yield tar


# --- directories


def _listed(root: Path) -> list[str]:
    """The files of a directory: what git ignores is left out where the directory is in a repository."""
    names = _git_or_none(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if names is None:
        return sorted(_walk(root, LEFT_OUT))
    kept = (n for n in names.split("\0") if n and not LEFT_OUT.intersection(n.split("/")))
    return sorted({n for n in kept if (root / n).is_symlink() or (root / n).is_file()})


def _walk(root: Path, left_out: frozenset[str] = frozenset()) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(d for d in folders if d not in left_out)
        links = [d for d in folders if (Path(folder) / d).is_symlink()]
        for name in [*files, *links]:
            yield str((Path(folder) / name).relative_to(root))


def tree_entries(root: Path, names: Iterable[str]) -> Iterator[Entry]:
    for name in names:
        path = root / name
        if path.is_symlink():
            yield Entry(name, "link", os.path.normpath(path.readlink()))
        else:
            mode = "exec" if path.stat().st_mode & 0o100 else "file"
            with path.open("rb") as file:
                yield Entry(name, mode, hashlib.file_digest(file, "sha256").hexdigest())


def _copy(source: Path, destination: Path) -> None:
    for name in _listed(source):
        path, copy = source / name, destination / name
        if path.is_symlink() and not (path.parent / path.readlink()).resolve().is_relative_to(source.resolve()):
            raise unreadable(f"{path} is a link out of the directory", "A release holds everything it needs.")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy, follow_symlinks=False)


# --- tarballs


def _resolve_tarball(source: Path, expected: str | None) -> Artifact:
    with source.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if expected is not None and found != expected:
        raise DeployError(
            "E_ARTIFACT_MISMATCH",
            f"{source} has another sha256 than soc-deploy.yaml",
            f"expected {expected}\nfound    {found}",
            f"sha256sum {source}",
        )
    with _opened(source) as tar:
        entries = digest_of(tar_entries(tar, _leading(tar)))
    return Artifact(
        kind="tarball", source=str(source), digest=entries, provenance=f"tarball {source.name} (sha256 {found[:12]})"
    )


def _opened(source: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(_existing(source, directory=False))
    except tarfile.TarError as broken:
        raise unreadable(f"{source} is no tarball", str(broken)) from None


def _leading(tar: tarfile.TarFile) -> str:
    """The one directory that everything lies in, with its slash; empty when there is none."""
    tops = {member.name.removeprefix("./").split("/")[0] for member in tar.getmembers()} - {"", "."}
    files_at_top = any("/" not in m.name.removeprefix("./") and not m.isdir() for m in tar.getmembers())
    return f"{tops.pop()}/" if len(tops) == 1 and not files_at_top else ""


def _inside(tar: tarfile.TarFile, strip: str) -> Iterator[tarfile.TarInfo]:
    """The members below the leading directory, renamed; a link's target too where it names a member."""
    for member in tar.getmembers():
        name = member.name.removeprefix("./")
        if name.startswith(strip) and (rest := name[len(strip) :]):
            target = member.linkname
            if member.islnk():
                target = target.removeprefix("./").removeprefix(strip)
            yield member.replace(name=rest, linkname=target, deep=False)


def tar_entries(tar: tarfile.TarFile, strip: str) -> Iterator[Entry]:
    """The entries a tar file would unpack to."""
    originals = {member.name.removeprefix("./"): member for member in tar.getmembers()}
    for member in _inside(tar, strip):
        if member.isdir() or not (member.isfile() or member.issym() or member.islnk()):
            continue
        if member.issym():
            yield Entry(member.name, "link", os.path.normpath(member.linkname))
            continue
        original = originals[strip + (member.linkname if member.islnk() else member.name)]
        file = tar.extractfile(original)
        assert file is not None
        mode = "exec" if original.mode & 0o100 else "file"
        yield Entry(member.name, mode, hashlib.sha256(file.read()).hexdigest())


def _extract(tar: tarfile.TarFile, destination: Path, strip: str) -> None:
    """Links and names that lead out of the directory, devices and the like are refused."""
    try:
        for member in _inside(tar, strip):
            tar.extract(member, destination, filter="data")
    except (tarfile.TarError, OSError) as refused:
        raise unreadable("the archive cannot be unpacked safely", str(refused)) from None


def _existing(path: Path, *, directory: bool) -> Path:
    found = path.resolve()
    if not (found.is_dir() if directory else found.is_file()):
        raise unreadable(f"{path} does not exist", "", f"ls -l {path.parent}")
    return found


def unreadable(what: str, why: str, try_: str = "soc-deploy doctor") -> DeployError:
    return DeployError("E_ARTIFACT", what, why, try_)
