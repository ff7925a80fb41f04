"""What a `pip install` gives: a wheel that is built, installed apart from the checkout, and used. No network."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.home import free_port
from tests.support.shop import write_settings

ROOT = Path(__file__).parents[2]
PARTS = ("pyproject.toml", "README.md", "LICENSE", "soc_deploy_mcp", "prompts", "examples")  # all that a build needs
WITHIN_S = 180


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy: others may edit the checkout meanwhile."""
    copy = tmp_path_factory.mktemp("source")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], source)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel in it, which sees this environment's dependencies behind it."""
    folder = tmp_path_factory.mktemp("env")
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    # Found on the path, not as a site: its own .pth files, which lead to the checkout, are not read.
    (site / "dependencies.pth").write_text("\n".join(dict.fromkeys(map(sysconfig.get_path, ("purelib", "platlib")))))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
    run([*pip, "--no-index", "--no-deps", "--ignore-installed", "--quiet", str(wheel)])
    where = run([str(python), "-c", "import soc_deploy_mcp; print(soc_deploy_mcp.__file__)"], folder)
    assert Path(where.strip()).is_relative_to(site)
    return folder / "bin"


class User:
    """Somebody who has nothing but the wheel."""

    def __init__(self, scripts: Path, folder: Path, home: Path) -> None:
        self.project = folder
        self._environ = {
            "PATH": f"{scripts}:{os.environ['PATH']}",
            "HOME": str(folder.parent),
            "LANG": "C.UTF-8",
            "SOC_DEPLOY_HOME": str(home),
        }

    def does(self, *words: str) -> str:
        return run(["soc-deploy", *words], self.project, self._environ)


@pytest.fixture
def user(installed: Path, versions: Path, home: Path) -> Iterator[User]:
    somebody = User(installed, versions, home)
    yield somebody
    somebody.does("daemon", "stop", "--force")


def run(argv: list[str], cwd: Path | None = None, environ: dict[str, str] | None = None) -> str:
    """Standard output; fails with all that was said otherwise."""
    program = shutil.which(argv[0], path=(environ or os.environ)["PATH"])
    assert program, f"{argv[0]} is not installed"
    done = subprocess.run(
        [program, *argv[1:]],
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert done.returncode == 0, f"{argv} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def files_below(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_the_wheel_holds_the_package_and_the_texts_it_reads_and_nothing_else(source: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
        assert names == {
            *(f"soc_deploy_mcp/{name}" for name in files_below(source / "soc_deploy_mcp")),
            *(f"soc_deploy_mcp/_texts/prompts/{name}" for name in files_below(source / "prompts")),
            *(f"soc_deploy_mcp/_texts/examples/{name}" for name in files_below(source / "examples")),
        }
        for name in ("prompts/soc-deploy.md", "examples/shop/versions/catalogue.toml"):
            assert packed.read(f"soc_deploy_mcp/_texts/{name}") == (source / name).read_bytes()
        licence = next(name for name in packed.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        assert packed.read(licence) == (source / "LICENSE").read_bytes()


def test_its_version_is_that_of_the_project(user: User) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert user.does("--version").split()[-1] == version


@pytest.mark.parametrize("words", [("--help",), ("help", "deploy"), ("demo", "--help"), ("install", "--help")])
def test_help_needs_nothing_of_the_checkout(user: User, words: tuple[str, ...]) -> None:
    assert "soc-deploy" in user.does(*words)


@pytest.mark.parametrize(
    ("client", "files"),
    [
        ("opencode", ("opencode.json", ".opencode/commands/soc-deploy.md")),
        ("claude", (".mcp.json", ".claude/commands/soc-deploy.md")),
    ],
)
def test_its_client_files_are_those_of_the_checkout(user: User, client: str, files: tuple[str, ...]) -> None:
    user.does("install", "--client", client)
    for file in files:
        assert (user.project / file).read_bytes() == (ROOT / file).read_bytes()
    assert user.does("install", "--check").count("unchanged") == len(files)


def test_the_daemon_starts_from_it_and_plans_a_release_of_its_own_example(user: User) -> None:
    write_settings(user.project, free_port())
    report = json.loads(
        user.does("production", "--action", "deploy", "--version", "v1.0.0", "--dry-run", "--format", "json")
    )
    assert report["summary"]["version"] == "v1.0.0"
    assert "DRY" in report["summary"]["status"].upper()
