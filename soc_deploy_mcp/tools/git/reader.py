"""The repository as it is: which commit a version is, what changed since, which files a commit holds.

git is started with an environment of our own: no GIT_* variable, no prompt, no hook, no file system monitor, no
conversion of line ends. The same commit gives the same bytes on every machine.
"""

import asyncio
import re
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.tools import process
from soc_deploy_mcp.tools.git import tags
from soc_deploy_mcp.tools.git.tags import Tag

TIMEOUT_S: Final = 60.0
ARCHIVE_TIMEOUT_S: Final = 300.0

_SETTINGS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "log.showSignature=false"),
)
_SCRUBBED = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",  # `git status` may write the index otherwise
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
_NAME = re.compile(r"[\w][\w./+@-]*")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_SUBJECT_LIMIT = 200  # characters; a commit message is text from outside


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a ref is: the commit decides, the name is for people."""

    commit: str  # the full object name
    kind: Literal["tag", "branch", "commit"]
    name: str  # the tag or branch as it is called in the repository

    @property
    def provenance(self) -> str:
        """`git commit 1b9d2e7 (tag v2.1.0)`."""
        called = "" if self.kind == "commit" else f" ({self.kind} {self.name})"
        return f"git commit {self.commit[:7]}{called}"


class Reader:
    """Reads the repository that `root` lies in; in a subdirectory, archive and changes are those of the subdirectory.

    Every method raises E_NO_REPOSITORY where there is none, or no git.
    """

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self.root = root
        home = {name: environ[name] for name in ("HOME", "XDG_CONFIG_HOME") if name in environ}  # safe.directory
        self._env = process.plain_environment(environ, {**home, **_SCRUBBED})

    async def resolve(self, ref: str) -> Resolved:
        """A tag first (`v2.1.0` or `2.1.0`), then a branch, then a commit of 7 digits or more. E_REF_NOT_FOUND."""
        if _NAME.fullmatch(ref) and ".." not in ref and "@{" not in ref:
            for spelled in tags.spellings(ref):
                if commit := await self._commit(f"refs/tags/{spelled}"):
                    return Resolved(commit, "tag", spelled)
            for prefix in ("refs/heads/", "refs/remotes/origin/"):
                if commit := await self._commit(prefix + ref):
                    return Resolved(commit, "branch", ref)
            if _COMMIT.fullmatch(ref) and (commit := await self._commit(ref)):
                return Resolved(commit, "commit", commit)
        raise await self._not_found(ref)

    async def tags(self) -> tuple[Tag, ...]:
        """The tags that are versions, newest first."""
        return tags.versions(await self._tag_names())

    async def changes(self) -> tuple[str, ...]:
        """Tracked files that differ from the last commit, staged or not. Untracked files do not count."""
        out = await self._git("status", "--porcelain=v1", "-z", "--untracked-files=no", "--", ".")
        entries = iter(out.split("\0"))
        paths = []
        for entry in entries:
            if not entry:
                continue
            if "R" in entry[:2] or "C" in entry[:2]:
                next(entries, "")  # where it was before
            paths.append(entry[3:])
        return tuple(sorted(paths))

    async def subject(self, commit: str) -> str:
        """The first line of the commit message: text from outside, one line, 200 characters at most."""
        out = await self._git("log", "-1", "--format=%s", "--end-of-options", commit)
        return "".join(c if c.isprintable() else " " for c in out.strip())[:_SUBJECT_LIMIT]

    async def archive(self, commit: str, into: Path) -> None:
        """Put the files of a commit into an existing directory. E_ARTIFACT when they cannot be unpacked safely."""
        with tempfile.TemporaryDirectory(prefix="soc-archive-") as temporary:
            tar = Path(temporary) / "commit.tar"
            output = f"--output={tar}"
            await self._git("archive", "--format=tar", output, "--end-of-options", commit, timeout=ARCHIVE_TIMEOUT_S)
            await asyncio.to_thread(_unpack, tar, into)

    async def _commit(self, name: str) -> str | None:
        done = await self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return done.out.strip() if done.ok else None

    async def _tag_names(self) -> list[str]:
        return (await self._git("tag", "--list")).split()

    async def _not_found(self, ref: str) -> DeployError:
        names = await self._tag_names()
        near = tags.nearest(ref, names)
        what = f"{ref} is no tag, branch or commit of {self.root}."
        why = f"Nearest tags: {', '.join(near)}." if near else f"The repository has {len(names) or 'no'} tags."
        return DeployError("E_REF_NOT_FOUND", what, why, f"git -C {self.root} tag --list --sort=-version:refname")

    async def _git(self, *words: str, timeout: float = TIMEOUT_S) -> str:
        done = await self._run(*words, timeout=timeout)
        if done.ok:
            return done.out
        said = done.last_lines(1, 300)
        if "not a git repository" in said:
            why = "A release is a commit of one, under the tag of its version."
            raise DeployError("E_NO_REPOSITORY", f"{self.root} is no git repository.", why, f"git -C {self.root} init")
        why = f"no answer within {timeout:.0f} s" if done.timed_out else said
        raise DeployError("E_ARTIFACT", f"git {words[0]} failed in {self.root}.", why, f"git -C {self.root} status")

    async def _run(self, *words: str, timeout: float = TIMEOUT_S) -> process.Finished:
        argv = ["git", "-C", str(self.root), "--no-pager", *_SETTINGS, *words]
        try:
            done = await process.run(argv, cwd="/", env=self._env, timeout=timeout, limit=16_000_000)
        except process.NotStarted as error:
            raise DeployError("E_NO_REPOSITORY", "git is not installed.", str(error), "git --version") from None
        if "dubious ownership" in done.err:
            why = "It belongs to another user, so git does not read it."
            fix = f"git config --global --add safe.directory {self.root}"
            raise DeployError("E_NO_REPOSITORY", f"git does not trust {self.root}.", why, fix)
        return done


def _unpack(tar: Path, into: Path) -> None:
    """Links that lead out of the directory, absolute paths and devices are refused (PEP 706)."""
    try:
        with tarfile.open(tar) as archive:
            archive.extractall(into, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise DeployError("E_ARTIFACT", "The commit cannot be unpacked.", str(error), "git status") from None
