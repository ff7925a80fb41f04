"""The first half hour of a user: a fresh repository, nothing else, and the lines of the README as they stand there."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from soc_deploy_mcp.core.config.project import FILE, Config
from soc_deploy_mcp.interfaces.cli.demo import repository
from tests.support.product import Product, product
from tests.support.terminal import Typed, typed

README = Path(__file__).parents[2] / "README.md"
DEPLOY = ("production", "--action", "deploy", "--version")
CANARY = ("--strategy", "canary", "--auto-rollback", "--auto-approve")
# What is added to the file that init writes: how long windows are, and how often the judge asks what by itself.
WINDOWS = """
deploy:
  canary: {steps: [20, 100], min: 1s, max: 120s}
  verify_window: 2s
  bake: 2s
  rollback_window: 2s
judge: {tick: 0.5s, warmup: 0.5s, synthetic_rate: 100, synthetic_paths: [/items, "/items?q=tea"], r_bad: 3}
health_checks:
  error_rate: {target: "<0.5%"}
  response_time: {target: "<2s", percentile: 75}
"""


@pytest.fixture
def fresh(home: Path, tmp_path: Path) -> Iterator[Product]:
    """A service with tests under git, one commit, no tag; nothing of soc-deploy."""
    folder = tmp_path / "service"
    repository.make_repository(folder, ("v1.0.0",))
    repository.git(folder, "tag", "--delete", "v1.0.0")
    with product(folder, home) as made:
        yield made


def shorten(shop: Product) -> None:
    """The port of this test, and windows of seconds."""
    path = shop.repository / FILE
    text = path.read_text()
    assert text.count("127.0.0.1:8080") == 1
    ours = f'"127.0.0.1:{shop.port}"\n    drain_s: 3'
    path.write_text(text.replace('"127.0.0.1:8080"', ours) + WINDOWS)
    Config.read(path.read_text())


def release(shop: Product, version: str, tmp_path: Path) -> None:
    """What a developer does: change the code, commit, tag."""
    folder = tmp_path / version
    folder.mkdir()
    repository.lay_out(folder, repository.catalogue()[version])
    shutil.copy(folder / "server.py", shop.repository)
    repository.commit(shop.repository, version)
    repository.git(shop.repository, "tag", version)


def test_five_plain_commands_without_traffic_ci_or_scanners(fresh: Product, tmp_path: Path) -> None:
    told = fresh.do("init")
    assert told.exit == 0, told
    assert "(server.py)" in told.out
    assert "unittest" in told.out
    shorten(fresh)
    for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
        release(fresh, version, tmp_path)

    first = fresh.do(*DEPLOY, "v1.0.0", "--auto-approve")
    assert (first.exit, first.status) == (0, "✅ SUCCESS"), first
    assert first.box("All tests passing").startswith("[x] All tests passing (9 passed, 0 failed")
    assert first.box("Security scan passed").startswith("[ ]")

    good = fresh.do(*DEPLOY, "v1.1.0", *CANARY, within_s=400)
    assert (good.exit, good.status) == (0, "✅ SUCCESS"), good
    assert "judged on synthetic traffic (100/s for each release on /healthz, /items, /items?q=tea)" in good.out
    assert "UNATTENDED" in good.field("Approval")

    bad = fresh.do(*DEPLOY, "v1.2.0", *CANARY, within_s=400)  # 5 % errors
    assert (bad.exit, bad.status) == (3, "⚠️ ROLLBACK"), bad
    assert "REJECT" in bad.field("Rollback Triggered")
    given = [share for weights in fresh.shifts(bad.run) for slug, share in weights.items() if slug.startswith("v1_2_0")]
    assert max(given) == 20, "never more than the canary's share"
    assert fresh.answered_by() == "v1.1.0"

    back = fresh.do("production", "--action", "rollback")
    assert (back.exit, back.status) == (0, "⚠️ ROLLBACK"), back
    assert fresh.answered_by() == "v1.0.0"


def test_the_readme_works_as_typed(fresh: Product, tmp_path: Path) -> None:
    section = README.read_text().partition("## Use it in your repository")[2].partition("\n### ")[0]
    install, cd, init, commit, *releases = shell_lines(section)
    assert re.fullmatch(r'pip install "/path/to/this/repository\[local\]"', install)
    assert cd == "cd your/service"
    environ = as_user(fresh)

    assert_done(typed(init, fresh.repository, environ), 0)
    shorten(fresh)
    assert_done(typed(commit, fresh.repository, environ), 0)
    assert repository.git(fresh.repository, "show", f"v1.0.0:{FILE}"), "the tag holds the file"

    first, second, back = releases
    there = assert_done(typed(first, fresh.repository, environ), 0)
    assert "Approve? [y/N]" in there.shown
    assert (there.status, fresh.answered_by()) == ("✅ SUCCESS", "v1.0.0")
    release(fresh, "v1.1.0", tmp_path)
    there = assert_done(typed(second, fresh.repository, environ), 0)
    assert (there.status, fresh.answered_by()) == ("✅ SUCCESS", "v1.1.0")
    there = assert_done(typed(back, fresh.repository, environ), 0)
    assert (there.status, fresh.answered_by()) == ("⚠️ ROLLBACK", "v1.0.0")

    run = fresh.do("status", "--format", "json").json()[-1]["id"]
    for line in looks(section, run):
        assert_done(typed(line, fresh.repository, environ), 0)


def shell_lines(text: str) -> list[str]:
    """The lines of the first block of shell, without their comments."""
    block = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert block
    return [line for each in block[1].splitlines() if (line := each.partition(" #")[0].strip())]


def looks(text: str, run: str) -> list[str]:
    """The commands of the text that only look, with everything that is optional in them, and RUN filled in."""
    found = re.findall(r"`(soc-deploy (?:status|report|releases|logs|help|--help)[^`]*)`", text)
    assert len(found) >= 6, found
    lines = [line.replace("[", "").replace("]", "").replace("RUN", run) for line in found]
    return [*dict.fromkeys(lines), f"soc-deploy report {run} --format json"]


def as_user(shop: Product) -> dict[str, str]:
    """The environment of somebody who installed it: `soc-deploy` is on the path, and git knows them."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{shop.environ['PATH']}"
    known = {f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {**shop.environ, **known, "PATH": path}


def assert_done(done: Typed, code: int) -> Typed:
    assert done.exit == code, done
    assert "Traceback" not in done.shown, done
    return done
