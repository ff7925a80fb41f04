"""The example shop as a git repository: a commit and a tag for each version, good ones and bad ones.

The bad versions are changes of code such as people make (examples/shop/versions), not switches in the environment:
only so does a release of the demo, of a test and of a benchmark carry its fault in its digest.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path

from soc_deploy_mcp.core.config.project import FILE, Config
from soc_deploy_mcp.core.errors import DeployError

DEMO_VERSIONS = ("v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0", "v1.5.0")
_FIRST_DAY = datetime(2026, 1, 5, 9, tzinfo=UTC)  # a version a day; fixed, so that equal content gives equal commits
_PERSON = ("Tea Shop", "shop@example.com")


@dataclass(frozen=True)
class Version:
    tag: str
    title: str  # message of its commit
    patches: tuple[str, ...]  # of examples/shop/versions, in order
    fault: str = ""  # what is wrong with it; "" = nothing


def shop_folder() -> Path:
    """examples/shop of this installation: inside the package (wheel) or beside it (checkout). Raises E_INTERNAL."""
    package = Path(str(files("soc_deploy_mcp")))
    for examples in (package / "_texts" / "examples", package.parent / "examples"):
        if (examples / "shop" / "server.py").is_file():
            return examples / "shop"
    raise DeployError(
        "E_INTERNAL",
        "the example shop is not part of this installation",
        f"looked in and beside {package}",
        "pip install --force-reinstall soc-deploy-mcp",
    )


@cache
def catalogue() -> dict[str, Version]:
    """Every version there is, by tag, in the order of the catalogue."""
    rows = tomllib.loads((shop_folder() / "versions" / "catalogue.toml").read_text("utf-8"))["version"]
    return {row["tag"]: Version(**{**row, "patches": tuple(row["patches"])}) for row in rows}


def demo_settings(listen: str = "127.0.0.1:8080", python: str = sys.executable) -> str:
    """The text of the demo's soc-deploy.yaml. `python` runs the shop (3.11 or newer): nothing else is sure to exist."""
    return _SETTINGS.replace("LISTEN", listen).replace('"PYTHON"', json.dumps(python))


def make_repository(path: Path, versions: Sequence[str] = DEMO_VERSIONS, settings: str = "") -> Path:
    """A repository in `path` (made if absent, else empty) whose branch main has one tagged commit for each version.

    `settings` is the text of its soc-deploy.yaml, the same in each version; "" leaves the file out. Nobody's git
    configuration is read. Raises KeyError for an unknown version, E_CONFIG for wrong settings, E_USAGE for a folder
    that holds something, E_NO_REPOSITORY without git.
    """
    wanted = [catalogue()[tag] for tag in versions]
    if settings:
        Config.read(settings)
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise DeployError("E_USAGE", f"{path} is not empty", "the example is put into a folder of its own")
    git(path, "init", "--quiet", "--initial-branch", "main")
    for day, version in enumerate(wanted):
        lay_out(path, version)
        if settings:
            (path / FILE).write_text(settings, "utf-8")
        commit(path, version.title, _FIRST_DAY + timedelta(days=day))
        git(path, "tag", version.tag)
    return path


def lay_out(path: Path, version: Version) -> None:
    """Make the files of `path` (all but .git) those of `version`."""
    for old in path.iterdir():
        if old.name != ".git":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    shop = shop_folder()
    shutil.copytree(shop, path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("versions", "__pycache__"))
    for patch in version.patches:
        git(path, "apply", str(shop / "versions" / f"{patch}.patch"))
    _stamp(path / "server.py", r'^VERSION = ".*"$', f'VERSION = "{version.tag}"')
    # What follows the hyphen is ours; packaging (PEP 440) knows other words there.
    number = version.tag.removeprefix("v").partition("-")[0]
    _stamp(path / "pyproject.toml", r'^version = ".*"$', f'version = "{number}"')


def commit(path: Path, message: str, at: datetime = _FIRST_DAY) -> None:
    """All that is in `path`, by nobody in particular, at that time."""
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--allow-empty", "--message", message, at=at)


def git(path: Path, *words: str, at: datetime = _FIRST_DAY) -> str:
    """Output of a git command that no configuration of this machine can change. Raises E_NO_REPOSITORY, E_INTERNAL."""
    name, mail = _PERSON
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": str(path.resolve().parent),  # never a repository that `path` happens to lie in
        **{f"GIT_{who}_NAME": name for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": mail for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_DATE": at.isoformat() for who in ("AUTHOR", "COMMITTER")},
    }
    try:
        done = subprocess.run(["git", *words], cwd=path, env=environment, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise DeployError("E_NO_REPOSITORY", "git is not installed", "the example is a git repository") from None
    except subprocess.CalledProcessError as failed:
        raise DeployError("E_INTERNAL", f"git {words[0]} failed in {path}", failed.stderr.strip()[-500:]) from None
    return done.stdout


def _stamp(file: Path, pattern: str, line: str) -> None:
    text, count = re.subn(pattern, line, file.read_text("utf-8"), flags=re.MULTILINE)
    assert count == 1, f"{file.name} names its version {count} times"
    file.write_text(text, "utf-8")


_SETTINGS = """\
# How soc-deploy releases this shop. All windows are far shorter than the defaults, so that the demo ends in minutes:
# 300 requests a second show within seconds what a quiet service shows within hours.
schema: 1

services:
  shop:
    run: ["PYTHON", "server.py", "--port", "{port}"]
    listen: "LISTEN"                    # where users come in
    instances: 2
    health: {path: /healthz}
    smoke: [{path: /, contains: shop}]  # asked of a new release before any user reaches it
    drain_s: 2
    grace_s: 5
    resources: {cpus: 1.0, memory_mb: 256}

deploy:
  canary: {steps: [10, 50, 100], min: 2s, max: 120s}
  rolling: {min_ready_s: 1, pause_after_first: false}
  verify_window: 3s
  bake: 3s
  rollback_window: 3s                   # how long the old release stays hot

health_checks:
  error_rate: {target: "<0.5%"}

judge:
  tick: 1s
  warmup: 1s

pipeline:
  commands:
    test: ["PYTHON", "-m", "unittest", "discover", "-s", "tests"]
"""
