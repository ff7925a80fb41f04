"""Files of the project are written whole, with their mode, and never outside it."""

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.tools.project import writing


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_and_its_folders_are_made(tmp_path):
    path = writing.write(tmp_path, "a/b/report.md", "ü\n")
    assert path.read_bytes() == b"\xc3\xbc\n"
    assert mode(path) == 0o644
    assert [p.name for p in path.parent.iterdir()] == ["report.md"]


def test_the_mode_of_an_old_file_stays(tmp_path):
    (tmp_path / "run.sh").write_text("old")
    (tmp_path / "run.sh").chmod(0o750)
    writing.write(tmp_path, "run.sh", "new")
    assert (tmp_path / "run.sh").read_text() == "new"
    assert mode(tmp_path / "run.sh") == 0o750


def test_whoever_reads_meanwhile_sees_the_old_or_the_new_file(tmp_path):
    writing.write(tmp_path, "file", "old " * 1000)
    with (tmp_path / "file").open() as reading:
        writing.write(tmp_path, "file", "new")
        assert reading.read() == "old " * 1000
    assert (tmp_path / "file").read_text() == "new"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    writing.write(tmp_path, "file", "old")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DeployError, match="E_WRITE") as caught:
        writing.write(tmp_path, "file", "new")
    assert caught.value.why == "no space left on device"
    assert (tmp_path / "file").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", ".", "", "a/..", "a\0b", "x" * 300])
def test_a_path_out_of_the_project_is_refused(tmp_path, name):
    project = tmp_path / "project"
    project.mkdir()
    with pytest.raises(DeployError, match="E_WRITE"):
        writing.write(project, name, "x")
    assert [p.name for p in tmp_path.iterdir()] == ["project"]


def test_links_are_followed_inside_and_refused_outside(tmp_path):
    project, outside = tmp_path / "project", tmp_path / "outside"
    (project / "real").mkdir(parents=True)
    outside.mkdir()
    (project / "inner").symlink_to("real")
    (project / "leaving").symlink_to(outside)
    (project / "file").symlink_to(outside / "file")
    writing.write(project, "inner/x", "ok")
    assert (project / "real" / "x").read_text() == "ok"
    assert (project / "inner").is_symlink()
    for name in ("leaving/x", "file"):
        with pytest.raises(DeployError, match="E_WRITE") as caught:
            writing.write(project, name, "x")
        assert "outside the project" in caught.value.why
    assert list(outside.iterdir()) == []


def test_our_folder_ignores_itself(tmp_path):
    folder = writing.folder(tmp_path)
    assert folder == tmp_path / ".soc-deploy"
    assert (folder / ".gitignore").read_text() == "*\n"
    (folder / ".gitignore").write_text("mine\n")
    writing.folder(tmp_path)
    assert (folder / ".gitignore").read_text() == "mine\n"


def test_a_folder_of_ours_that_leads_elsewhere_is_refused(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / ".soc-deploy").symlink_to(tmp_path)
    with pytest.raises(DeployError, match="E_WRITE"):
        writing.folder(tmp_path / "project")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_name_stays_inside_or_is_refused(tmp_path_factory, name):
    top = tmp_path_factory.mktemp("project").resolve()
    try:
        path = writing.inside(top, name)
    except DeployError:
        return
    assert path.is_relative_to(top)
    assert path != top
