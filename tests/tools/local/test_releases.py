"""Releases on the disk: whole or not there, made once, kept as long as they are needed."""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.core.config.service import DirArtifact
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.release import Release, Target
from soc_deploy_mcp.tools.local import artifacts, releases
from soc_deploy_mcp.tools.local.layout import Place
from tests.tools.local.builders import release


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place.of(tmp_path / "home", Target(project=str(tmp_path), service="shop", environment="dev"))
    found.make()
    return found


async def planned(folder: Path, version: str = "v1.0.0", **changes: Any) -> Release:
    (folder / "source").mkdir(exist_ok=True)
    (folder / "source/app.py").write_text(f"VERSION = {version!r}\n")
    artifact = await artifacts.resolve(DirArtifact(dir="source"), version, folder)
    return release(version, artifact, **changes)


def shell(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def test_a_release_is_prepared_in_the_directory_it_runs_in(place: Place, tmp_path: Path) -> None:
    """Build tools write absolute paths into what they make."""
    code = "import os; open('where', 'w').write(os.getcwd() + ' ' + os.environ['VERSION'])"
    made = await planned(tmp_path, prepare=[shell(code)])
    directory = await releases.seal(place, made)
    assert (directory / "where").read_text() == f"{directory} v1.0.0"
    assert releases.sealed(place, made.slug)


async def test_a_sealed_release_is_read_only_and_made_once(place: Place, tmp_path: Path) -> None:
    made = await planned(tmp_path, prepare=[shell("open('built', 'a').write('x')")])
    first, second = await asyncio.gather(releases.seal(place, made), releases.seal(place, made))
    assert first == second
    assert (first / "built").read_text() == "x"
    assert not any(p.stat().st_mode & 0o222 for p in (first, *first.rglob("*")))


async def test_a_failed_preparation_is_quoted_and_leaves_no_release(place: Place, tmp_path: Path) -> None:
    made = await planned(tmp_path, prepare=[shell("print('no such package'); raise SystemExit(7)")])
    with pytest.raises(DeployError) as caught:
        await releases.seal(place, made)
    assert (caught.value.code, "exit code 7" in caught.value.what) == ("E_PREPARE_FAILED", True)
    assert "no such package" in caught.value.why
    assert not releases.sealed(place, made.slug)


async def test_a_preparation_that_hangs_is_ended(place: Place, tmp_path: Path) -> None:
    made = await planned(tmp_path, prepare=[shell("import time; time.sleep(600)")], prepare_timeout_s=0.2)
    with pytest.raises(DeployError, match="took too long"):
        await releases.seal(place, made)


async def test_a_program_that_is_missing_is_named(place: Place, tmp_path: Path) -> None:
    with pytest.raises(DeployError) as caught:
        await releases.seal(place, await planned(tmp_path, prepare=[["no-such-tool", "install"]]))
    assert "no-such-tool: No such file or directory" in caught.value.why


async def test_what_an_interrupted_attempt_left_is_made_anew(place: Place, tmp_path: Path) -> None:
    made = await planned(tmp_path)
    half = place.release(made.slug)
    half.mkdir()
    (half / "half").touch()
    directory = await releases.seal(place, made)
    assert {p.name for p in directory.iterdir()} == {"app.py"}


async def test_preparation_sees_no_secret_and_no_stray_variable(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "leak")
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.example")
    code = "import os; open('env', 'w').write(repr(dict(os.environ)))"
    made = await planned(tmp_path, prepare=[shell(code)], env={"MODE": "x"}, secrets={"KEY": "env:KEY"})
    text = (await releases.seal(place, made) / "env").read_text()
    assert "'MODE': 'x'" in text
    assert "index.example" in text
    assert "leak" not in text
    assert "KEY'" not in text


async def test_changed_files_are_not_released(place: Place, tmp_path: Path) -> None:
    made = await planned(tmp_path)
    (tmp_path / "source/app.py").write_text("something else")
    with pytest.raises(DeployError) as caught:
        await releases.seal(place, made)
    assert caught.value.code == "E_ARTIFACT_MISMATCH"
    assert not releases.sealed(place, made.slug)


def test_too_little_space_is_said_with_figures(tmp_path: Path) -> None:
    with pytest.raises(DeployError) as caught:
        releases.check_space(tmp_path, shutil.disk_usage(tmp_path).free)
    assert caught.value.code == "E_LOW_DISK"
    assert "MB are free" in caught.value.what


async def test_only_the_last_releases_and_the_pinned_ones_are_kept(place: Place, tmp_path: Path) -> None:
    made = []
    for number in range(4):
        one = await planned(tmp_path, f"v{number}.0.0")
        await releases.seal(place, one)
        os.utime(releases.record(place, one.slug), (number, number))
        (place.instances / f"{one.slug}-2100{number}").mkdir()
        made.append(one.slug)
    assert releases.prune(place, 2, [made[0]]) == (made[1],)
    assert [slug for slug in made if releases.sealed(place, slug)] == [made[0], made[2], made[3]]
    assert not (place.instances / f"{made[1]}-21001").exists()


async def test_the_active_release_can_be_found_by_people(place: Place, tmp_path: Path) -> None:
    one, two = await planned(tmp_path), await planned(tmp_path, "v2.0.0")
    for made in (one, two):
        releases.activate(place, made.slug, Instant(0))
    assert (place.root / "current").readlink() == Path("rel") / two.slug
    assert len((place.root / "revisions.log").read_text().splitlines()) == 2
