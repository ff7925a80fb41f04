"""Reading real repositories."""

import os
import subprocess

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.tools.git import Reader

IDENTITY = [
    "-c",
    "user.name=T",
    "-c",
    "user.email=t@example.com",
    "-c",
    "commit.gpgsign=false",
    "-c",
    "tag.gpgsign=false",
]


@pytest.fixture
def environ(tmp_path_factory):
    """No settings of whoever runs the tests."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path_factory.mktemp("home"))}


class Repository:
    def __init__(self, root, environ):
        self.root, self.environ = root, environ
        root.mkdir(parents=True, exist_ok=True)
        self("init", "-q", "-b", "main")

    def __call__(self, *words):
        done = subprocess.run(
            ["git", *IDENTITY, *words], cwd=self.root, env=self.environ, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, message="a commit", **files):
        for name, text in files.items():
            (self.root / name.replace("__", ".")).write_text(text)
        self("add", "-A")
        self("commit", "-q", "--allow-empty", "-m", message)
        return self("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path, environ):
    return Repository(tmp_path / "project", environ)


@pytest.fixture
def reader(repository, environ):
    return Reader(repository.root, environ)


async def test_a_version_is_found_by_its_tag_in_either_spelling(repository, reader):
    first = repository.commit()
    repository("tag", "v2.1.0")
    second = repository.commit()
    repository("tag", "-a", "2.2.0", "-m", "annotated")
    for ref in ("v2.1.0", "2.1.0", "refs/tags/v2.1.0"):
        seen = await reader.resolve(ref)
        assert (seen.commit, seen.kind, seen.name) == (first, "tag", "v2.1.0")
    assert (await reader.resolve("v2.2.0")).commit == second
    assert (await reader.resolve("v2.2.0")).provenance == f"git commit {second[:7]} (tag 2.2.0)"


async def test_a_tag_comes_before_a_branch_of_the_same_name(repository, reader):
    tagged = repository.commit()
    repository("tag", "v1.0.0")
    repository("branch", "v1.0.0")
    repository("checkout", "-q", "heads/v1.0.0")
    repository.commit()
    assert (await reader.resolve("v1.0.0")).commit == tagged


async def test_branches_and_commits_resolve_too(repository, reader):
    commit = repository.commit()
    repository("branch", "release/2")
    assert (await reader.resolve("release/2")).kind == "branch"
    assert (await reader.resolve(commit[:8])).commit == commit
    assert (await reader.resolve(commit)).provenance == f"git commit {commit[:7]}"


async def test_a_version_that_is_no_tag_names_the_nearest(repository, reader):
    repository.commit()
    for tag in ("v1.0.0", "v2.0.0", "v2.0.8", "v2.1.1", "v3.0.0", "unrelated"):
        repository("tag", tag)
    with pytest.raises(DeployError) as caught:
        await reader.resolve("v2.1.0")
    assert caught.value.code == "E_REF_NOT_FOUND"
    assert "v2.1.1, v2.0.8, v2.0.0" in caught.value.why


@pytest.mark.parametrize(
    "ref",
    ["nope", "HEAD", "--help", "main..x", "main@{1}", "main^", "a b", "", "abc123", "-x", "refs/heads/main:x", ":/"],
)
async def test_what_is_no_name_of_a_release_is_not_resolved(repository, reader, ref):
    repository.commit()
    with pytest.raises(DeployError, match="E_REF_NOT_FOUND"):
        await reader.resolve(ref)


async def test_an_empty_repository_has_nothing_to_resolve(reader):
    with pytest.raises(DeployError, match="E_REF_NOT_FOUND") as caught:
        await reader.resolve("v1.0.0")
    assert "no tags" in caught.value.why


async def test_tags_are_in_the_order_of_versions(repository, reader):
    repository.commit()
    for tag in ("v1.9.0", "v1.10.0", "1.10.1-rc.1", "v1.10.1", "nightly", "v2", "v1.10.1-rc.10", "v1.10.1-rc.2"):
        repository("tag", tag)
    seen = [tag.name for tag in await reader.tags()]
    assert seen == ["v1.10.1", "v1.10.1-rc.10", "v1.10.1-rc.2", "1.10.1-rc.1", "v1.10.0", "v1.9.0"]


async def test_only_tracked_files_count_as_changes(repository, reader):
    repository.commit(**{"a__txt": "1", "b__txt": "1", "c__txt": "1", "with space ä": "1"})
    (repository.root / "new.txt").write_text("untracked")
    assert await reader.changes() == ()
    (repository.root / "a.txt").write_text("2")
    (repository.root / "b.txt").unlink()
    (repository.root / "with space ä").write_text("2")
    repository("mv", "c.txt", "d.txt")
    assert await reader.changes() == ("a.txt", "b.txt", "d.txt", "with space ä")


async def test_reading_changes_does_not_write_the_index(repository, reader):
    repository.commit(a="1")
    os.utime(repository.root / "a", (1, 1))  # git would refresh its cached time stamp
    before = (repository.root / ".git" / "index").read_bytes()
    assert await reader.changes() == ()
    assert (repository.root / ".git" / "index").read_bytes() == before


async def test_an_archive_holds_the_commit_and_nothing_else(repository, reader, tmp_path):
    commit = repository.commit(a="one", run__sh="#!/bin/sh\n")
    (repository.root / "run.sh").chmod(0o755)
    (repository.root / "link").symlink_to("a")
    commit = repository.commit()
    (repository.root / "a").write_text("changed")
    (repository.root / "untracked").write_text("x")
    into = tmp_path / "out"
    into.mkdir()
    await reader.archive(commit, into)
    assert sorted(p.name for p in into.iterdir()) == ["a", "link", "run.sh"]
    assert (into / "a").read_text() == "one"
    assert (into / "run.sh").stat().st_mode & 0o100
    assert (into / "link").readlink().name == "a"


async def test_line_ends_do_not_depend_on_the_machine(repository, reader, tmp_path, environ):
    commit = repository.commit(a="one\ntwo\n")
    repository("config", "core.autocrlf", "true")
    (tmp_path / "out").mkdir()
    await reader.archive(commit, tmp_path / "out")
    assert (tmp_path / "out" / "a").read_bytes() == b"one\ntwo\n"


async def test_a_link_out_of_the_release_is_refused(repository, reader, tmp_path):
    (repository.root / "evil").symlink_to("/etc/passwd")
    commit = repository.commit()
    (tmp_path / "out").mkdir()
    with pytest.raises(DeployError, match="E_ARTIFACT"):
        await reader.archive(commit, tmp_path / "out")
    with pytest.raises(DeployError, match="E_ARTIFACT"):
        await reader.archive("f" * 40, tmp_path / "out")


async def test_a_project_in_a_subdirectory_is_that_subdirectory(repository, environ, tmp_path):
    (repository.root / "shop").mkdir()
    (repository.root / "shop" / "app").write_text("1")
    commit = repository.commit(other="1")
    reader = Reader(repository.root / "shop", environ)
    (repository.root / "other").write_text("2")
    assert await reader.changes() == ()
    (tmp_path / "out").mkdir()
    await reader.archive(commit, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["app"]


async def test_a_subject_is_one_short_line(repository, reader):
    commit = repository.commit("fix \x1b[31mred\x1b[0m " + "x" * 300)
    subject = await reader.subject(commit)
    assert subject.startswith("fix  [31mred")
    assert len(subject) == 200
    assert subject.isprintable()


async def test_hooks_monitors_and_inherited_variables_do_nothing(repository, environ, tmp_path):
    repository.commit(a="1")
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    repository("config", "core.fsmonitor", str(trap))
    repository("config", "core.hooksPath", str(tmp_path))
    reader = Reader(repository.root, {**environ, "GIT_DIR": "/nowhere", "GIT_EXTERNAL_DIFF": str(trap)})
    (repository.root / "a").write_text("2")
    assert await reader.changes() == ("a",)
    assert not (tmp_path / "sprung").exists()


async def test_where_there_is_no_repository(tmp_path, environ):
    reader = Reader(tmp_path, {**environ, "GIT_CEILING_DIRECTORIES": ""})
    for reading in (reader.changes(), reader.tags(), reader.resolve("v1.0.0")):
        with pytest.raises(DeployError) as caught:
            await reading
        assert caught.value.code == "E_NO_REPOSITORY"


async def test_without_git_it_says_so(tmp_path):
    with pytest.raises(DeployError, match="git is not installed"):
        await Reader(tmp_path, {"PATH": str(tmp_path)}).tags()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
async def test_a_repository_of_somebody_else_says_how_to_trust_it(repository, reader):
    repository.commit()
    os.chown(repository.root, 12345, 12345)
    os.chown(repository.root / ".git", 12345, 12345)
    with pytest.raises(DeployError, match="does not trust") as caught:
        await reader.changes()
    assert "safe.directory" in caught.value.try_
