"""From a version to files: found, fixed by a digest, fetched again exactly so."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.config.service import DirArtifact, GitArtifact, TarballArtifact
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.tools.local import artifacts
from soc_deploy_mcp.tools.local.artifacts import ArtifactSpec, Entry


def git(repository: Path, *words: str) -> str:
    about = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(repository), *about, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


SOURCE = {"app.py": "print('hi')\n", "lib/part.py": "x = 1\n", "bin/run": "#!/bin/sh\n"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a program, a link, an ignored file, and two tags."""
    root = tmp_path / "project"
    root.mkdir()
    write(root, SOURCE | {".gitignore": "secret.env\n"})
    (root / "bin/run").chmod(0o755)
    (root / "latest").symlink_to("app.py")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "one")
    git(root, "tag", "v1.0.0")
    write(root, {"app.py": "print('two')\n", "secret.env": "KEY=1\n"})
    git(root, "commit", "-q", "-a", "-m", "two")
    git(root, "tag", "2.0.0")
    return root


async def failure(spec: ArtifactSpec, version: str, project: Path) -> DeployError:
    with pytest.raises(DeployError) as caught:
        await artifacts.resolve(spec, version, project)
    return caught.value


async def fetched(spec: ArtifactSpec, version: str, project: Path, to: Path) -> set[str]:
    artifact = await artifacts.resolve(spec, version, project)
    to.mkdir()
    await artifacts.fetch(artifact, to)
    return {str(p.relative_to(to)) for p in to.rglob("*") if not p.is_dir() or p.is_symlink()}


# --- git


async def test_a_tag_becomes_its_commit(project: Path) -> None:
    artifact = await artifacts.resolve(GitArtifact(), "v1.0.0", project)
    assert artifact.commit == git(project, "rev-parse", "v1.0.0")
    assert artifact.provenance == f"git commit {artifact.commit[:7]} (tag v1.0.0)"


async def test_a_tag_is_found_with_and_without_its_v(project: Path) -> None:
    artifact = await artifacts.resolve(GitArtifact(), "v2.0.0", project)
    assert artifact.commit == git(project, "rev-parse", "2.0.0")


async def test_a_commit_is_a_version_too(project: Path) -> None:
    commit = git(project, "rev-parse", "v1.0.0")
    artifact = await artifacts.resolve(GitArtifact(ref=commit), "v9.0.0", project)
    assert (artifact.commit, artifact.provenance) == (commit, f"git commit {commit[:7]}")


async def test_only_what_was_committed_is_fetched(project: Path, tmp_path: Path) -> None:
    found = await fetched(GitArtifact(), "v1.0.0", project, tmp_path / "out")
    assert found == {*SOURCE, ".gitignore", "latest"}
    assert (tmp_path / "out/app.py").read_text() == SOURCE["app.py"]
    assert os.access(tmp_path / "out/bin/run", os.X_OK)
    assert (tmp_path / "out/latest").readlink() == Path("app.py")


async def test_two_commits_with_the_same_files_are_one_artifact(project: Path) -> None:
    before = await artifacts.resolve(GitArtifact(ref="main"), "v1", project)
    git(project, "commit", "-q", "--allow-empty", "-m", "nothing")
    after = await artifacts.resolve(GitArtifact(ref="main"), "v1", project)
    assert before.commit != after.commit
    assert before.digest == after.digest


async def test_a_missing_version_names_the_nearest(project: Path) -> None:
    error = await failure(GitArtifact(), "v1.0.1", project)
    assert error.code == "E_REF_NOT_FOUND"
    assert "v1.0.0" in error.why
    assert error.try_ == "--version v1.0.0"


async def test_a_version_is_never_an_option_of_git(project: Path) -> None:
    assert (await failure(GitArtifact(ref="--output=x"), "v1", project)).code == "E_REF_NOT_FOUND"
    assert not (project / "x").exists()


async def test_a_folder_that_is_no_repository_says_so(tmp_path: Path) -> None:
    assert (await failure(GitArtifact(), "v1.0.0", tmp_path)).code == "E_NO_REPOSITORY"


async def test_a_commit_that_vanished_is_an_error_not_an_empty_release(project: Path, tmp_path: Path) -> None:
    artifact = await artifacts.resolve(GitArtifact(), "v1.0.0", project)
    gone = artifact.model_copy(update={"commit": "0" * 40})
    with pytest.raises(DeployError) as caught:
        await artifacts.fetch(gone, tmp_path)
    assert caught.value.code == "E_ARTIFACT"


async def test_a_part_of_a_repository_is_an_artifact_of_its_own(project: Path, tmp_path: Path) -> None:
    assert await fetched(GitArtifact(git="lib"), "v1.0.0", project, tmp_path / "out") == {"part.py"}


# --- directories


async def test_a_directory_comes_without_what_git_ignores(project: Path, tmp_path: Path) -> None:
    found = await fetched(DirArtifact(dir="."), "v1", project, tmp_path / "out")
    assert found == {*SOURCE, ".gitignore", "latest"}


async def test_a_directory_outside_of_git_comes_without_our_own_files(tmp_path: Path) -> None:
    root = tmp_path / "plain"
    root.mkdir()
    write(root, SOURCE | {".soc-deploy/reports/x.md": "x", "lib/__pycache__/part.pyc": "x"})
    assert await fetched(DirArtifact(dir="."), "v1", root, tmp_path / "out") == set(SOURCE)


async def test_a_file_that_changed_after_the_plan_is_noticed(project: Path, tmp_path: Path) -> None:
    artifact = await artifacts.resolve(DirArtifact(dir="."), "v1", project)
    (project / "app.py").write_text("print('changed')\n")
    with pytest.raises(DeployError) as caught:
        await artifacts.fetch(artifact, tmp_path)
    assert caught.value.code == "E_ARTIFACT_MISMATCH"


async def test_a_link_out_of_the_directory_is_refused(tmp_path: Path) -> None:
    root, out = tmp_path / "plain", tmp_path / "out"
    root.mkdir()
    out.mkdir()
    (root / "passwd").symlink_to("/etc/passwd")
    artifact = await artifacts.resolve(DirArtifact(dir="."), "v1", root)
    with pytest.raises(DeployError) as caught:
        await artifacts.fetch(artifact, out)
    assert caught.value.code == "E_ARTIFACT"


async def test_a_directory_that_does_not_exist_says_so(tmp_path: Path) -> None:
    assert (await failure(DirArtifact(dir="nowhere"), "v1", tmp_path)).code == "E_ARTIFACT"


# --- tarballs


def tarball(path: Path, files: dict[str, str], links: dict[str, str] | None = None, hard: bool = False) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o644
            tar.addfile(member, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.LNKTYPE if hard else tarfile.SYMTYPE, target
            tar.addfile(member)
    return path


async def test_one_leading_directory_is_taken_off(tmp_path: Path) -> None:
    tarball(tmp_path / "v1.tar.gz", {f"shop-1/{name}": text for name, text in SOURCE.items()})
    spec = TarballArtifact(tarball="{version}.tar.gz")
    assert await fetched(spec, "v1", tmp_path, tmp_path / "out") == set(SOURCE)


async def test_files_at_the_top_stay_where_they_are(tmp_path: Path) -> None:
    tarball(tmp_path / "a.tgz", SOURCE)
    assert await fetched(TarballArtifact(tarball="a.tgz"), "v1", tmp_path, tmp_path / "out") == set(SOURCE)


async def test_links_inside_a_tarball_work_and_count(tmp_path: Path) -> None:
    tarball(tmp_path / "hard.tgz", {"top/a": "same"}, {"top/b": "top/a"}, hard=True)
    assert await fetched(TarballArtifact(tarball="hard.tgz"), "v1", tmp_path, tmp_path / "out") == {"a", "b"}
    assert (tmp_path / "out/b").read_text() == "same"


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil"])
async def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    tarball(tmp_path / "a.tgz", {"good": "x", name: "evil"})
    with pytest.raises(DeployError) as caught:
        await fetched(TarballArtifact(tarball="a.tgz"), "v1", tmp_path, tmp_path / "deep")
    assert caught.value.code in ("E_ARTIFACT", "E_ARTIFACT_MISMATCH")
    assert not (tmp_path / "evil").exists()
    assert not Path("/tmp/evil").exists()


async def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    tarball(tmp_path / "a.tgz", {"good": "x"}, {"bad": "../../etc/passwd"})
    with pytest.raises(DeployError) as caught:
        await fetched(TarballArtifact(tarball="a.tgz"), "v1", tmp_path, tmp_path / "out")
    assert caught.value.code == "E_ARTIFACT"


async def test_another_sha256_than_declared_is_refused(tmp_path: Path) -> None:
    tarball(tmp_path / "a.tgz", SOURCE)
    error = await failure(TarballArtifact(tarball="a.tgz", sha256="0" * 64), "v1", tmp_path)
    assert error.code == "E_ARTIFACT_MISMATCH"


async def test_what_is_no_tarball_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_text("hello")
    assert (await failure(TarballArtifact(tarball="a.tgz"), "v1", tmp_path)).code == "E_ARTIFACT"


async def test_the_same_files_have_one_digest_however_they_come(project: Path, tmp_path: Path) -> None:
    git(project, "checkout", "-q", "v1.0.0")
    of_git = await artifacts.resolve(GitArtifact(), "v1.0.0", project)
    of_dir = await artifacts.resolve(DirArtifact(dir="."), "v1.0.0", project)
    archive = tmp_path / "a.tar"
    git(project, "archive", "--prefix", "shop/", "-o", str(archive), "v1.0.0")
    of_tarball = await artifacts.resolve(TarballArtifact(tarball=str(archive)), "v1.0.0", project)
    assert of_git.digest == of_dir.digest == of_tarball.digest


# --- the digest


entries = st.lists(
    st.builds(Entry, path=st.text(min_size=1), mode=st.sampled_from(["file", "exec", "link"]), content=st.text()),
    unique_by=lambda e: e.path,
)


@given(entries, st.randoms())
def test_the_order_of_files_does_not_change_the_digest(found: list[Entry], chance: st.DataObject) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert artifacts.digest_of(shuffled) == artifacts.digest_of(found)


@given(entries.filter(bool), st.data())
def test_any_change_of_a_file_changes_the_digest(found: list[Entry], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(found) - 1))
    old = found[index]
    field = data.draw(st.sampled_from(["path", "mode", "content"]))
    values = {"path": old.path, "mode": old.mode, "content": old.content}
    changed = Entry(**(values | {field: values[field] + "'"}))
    assert artifacts.digest_of([*found[:index], changed, *found[index + 1 :]]) != artifacts.digest_of(found)
