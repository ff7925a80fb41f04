"""Whole projects: installed, changed by their people, interrupted, uninstalled."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.interfaces.cli.install import carry
from tests.interfaces.cli.install import texts
from tests.interfaces.cli.install.sites import Sites, tree

BOTH = "--client opencode --client claude"
COMMANDS = (".opencode/commands/soc-deploy.md", ".claude/commands/soc-deploy.md")


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk's patience is not what is tried here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@contextmanager
def project(files: dict[str, str]) -> Iterator[Sites]:
    root = Path(tempfile.mkdtemp(prefix="soc-"))
    try:
        sites = Sites(root)
        for path, text in files.items():
            sites.write(path, text)
        yield sites
    finally:
        shutil.rmtree(root)


projects = st.fixed_dictionaries(
    {},
    optional={
        "opencode.json": texts.files(),
        ".mcp.json": texts.files(texts.strict),
        ".opencode/agents/theirs.md": st.just("theirs"),
        ".claude/settings.json": st.just("{}"),
        ".soc-deploy/reports/one.md": st.just("a report"),
        COMMANDS[0]: st.just("---\ndescription: theirs\n---\n"),
    },
)
flags = st.sampled_from(["", " --trust", " --replace", " --trust --replace"])


@settings(max_examples=60, deadline=None)
@given(projects, flags, flags)
def test_install_and_uninstall_leave_every_byte_as_it_was(files: dict[str, str], first: str, second: str) -> None:
    with project(files) as sites:
        before = tree(sites.project)
        sites.run(f"install {BOTH}{first}")
        once = tree(sites.project)
        sites.run(f"install {BOTH}{first.replace(' --replace', '')}")
        assert tree(sites.project) == once
        sites.run(f"install {BOTH}{second}")
        sites.run(f"uninstall {BOTH}")
        assert without_ignore(tree(sites.project)) == before


@settings(max_examples=40, deadline=None)
@given(projects, flags)
def test_a_refused_client_has_no_file_changed(files: dict[str, str], flag: str) -> None:
    with project(files) as sites:
        before = tree(sites.project)
        if sites.run(f"install --client opencode{flag}") == 1:
            assert tree(sites.project) == before


class Killed(BaseException):
    pass


@settings(max_examples=100, deadline=None)
@given(projects, st.sampled_from(["install", "uninstall"]), st.integers(1, 9), st.sampled_from(["kill", "full"]))
def test_an_interruption_leaves_each_file_old_or_new_and_the_next_attempt_completes(
    files: dict[str, str], verb: str, nth: int, how: str
) -> None:
    with project(files) as sites:
        before = tree(sites.project)
        if verb == "uninstall":
            sites.run(f"install {BOTH}")
        old = tree(sites.project)
        interrupted(sites, f"{verb} {BOTH}", nth, how)
        torn = tree(sites.project)
        sites.run(f"{verb} {BOTH}")
        new = tree(sites.project)
        for path in set(torn) - records(torn):
            assert torn[path] in (old.get(path), new.get(path)), path
        if verb == "install":
            with project(files) as untroubled:
                untroubled.run(f"install {BOTH}")
                assert without_records(new) == without_records(tree(untroubled.project))
            sites.run(f"uninstall {BOTH}")
        assert without_records(tree(sites.project)) == without_records(before)


@pytest.mark.parametrize("nth", range(1, 9))
def test_an_interrupted_replacement_can_be_taken_back(nth: int) -> None:
    with project({COMMANDS[0]: "theirs"}) as sites:
        before = tree(sites.project)
        interrupted(sites, "install --client opencode --replace", nth, "kill")
        assert sites.run("uninstall --client opencode") == 0
        assert without_records(tree(sites.project)) == without_records(before)
        assert not (sites.project / ".soc-deploy/install.json").exists()


@pytest.mark.parametrize("nth", range(1, 12))
def test_an_interrupted_uninstall_leaves_no_empty_folders_behind(nth: int) -> None:
    with project({}) as sites:
        sites.run(f"install {BOTH}")
        interrupted(sites, f"uninstall {BOTH}", nth, "kill")
        sites.run(f"uninstall {BOTH}")
        assert list(without_records(tree(sites.project))) == [".git"]


def interrupted(sites: Sites, line: str, nth: int, how: str) -> None:
    """Run `line`, but the nth change of a directory does not happen: the process dies, or the disk is full."""
    left = nth

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed if how == "kill" else OSError(28, "No space left on device")

    def replace(source: str, target: str) -> None:
        count()
        real_replace(source, target)

    def unlink(path: str) -> None:
        if not path.endswith(".new"):
            count()
        real_unlink(path)

    real_replace, real_unlink = os.replace, os.unlink
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(carry.os, "replace", replace)
        patch.setattr(carry.os, "unlink", unlink)
        with suppress(Killed):
            sites.run(line)


def records(found: dict[str, tuple[str, bytes, int]]) -> set[str]:
    return {path for path in found if path.startswith(".soc-deploy")}


def without_records(found: dict[str, tuple[str, bytes, int]]) -> dict[str, tuple[str, bytes, int]]:
    return {path: what for path, what in found.items() if path not in records(found)}


def without_ignore(found: dict[str, tuple[str, bytes, int]]) -> dict[str, tuple[str, bytes, int]]:
    """.soc-deploy/.gitignore stays where .soc-deploy/ was there before us: its records are nobody's to commit."""
    return {path: what for path, what in found.items() if path != ".soc-deploy/.gitignore"}
