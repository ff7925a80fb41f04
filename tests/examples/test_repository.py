"""The repository of the example: real commits, the same on every machine, with settings that are valid."""

from itertools import pairwise
from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import ENVIRONMENTS, Config
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.version import canonical
from soc_deploy_mcp.interfaces.cli.demo import repository
from tests.support.shop import write_settings


def test_each_version_is_a_tag_whose_files_name_it(every_version: Path) -> None:
    tags = repository.git(every_version, "tag").split()
    assert set(tags) == set(repository.catalogue())
    for tag in tags:
        assert canonical(tag) == tag
        assert f'VERSION = "{tag}"' in repository.git(every_version, "show", f"{tag}:server.py")
        number = tag.removeprefix("v").partition("-")[0]
        assert f'version = "{number}"' in repository.git(every_version, "show", f"{tag}:pyproject.toml")


def test_versions_differ_in_more_than_their_name(every_version: Path) -> None:
    tags = list(repository.catalogue())
    for tag, following in pairwise(tags):
        changed = repository.git(every_version, "diff", "--numstat", tag, following, "--", "server.py").split()
        assert int(changed[0]) > 1, following


def test_equal_content_gives_equal_commits_whatever_the_machine_is_set_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = repository.make_repository(tmp_path / "first", settings=repository.demo_settings())
    (tmp_path / ".gitconfig").write_text("[user]\nname = Somebody\n[commit]\ngpgsign = true\n[core]\nhooksPath = /x\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody else")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    second = repository.make_repository(tmp_path / "second", settings=repository.demo_settings())
    assert repository.git(first, "rev-parse", "HEAD") == repository.git(second, "rev-parse", "HEAD")
    assert repository.git(second, "status", "--porcelain") == ""


def test_the_repository_does_not_carry_the_recipes_of_its_faults(every_version: Path) -> None:
    names = repository.git(every_version, "ls-files").split()
    assert sorted(names) == [
        *(".gitignore", "README.md", "pyproject.toml", "server.py", "tests/__init__.py", "tests/test_shop.py")
    ]


def test_a_chosen_few_versions_in_a_chosen_order(tmp_path: Path) -> None:
    path = repository.make_repository(tmp_path, ("v1.1.0", "v2.0.0-crash"))
    assert repository.git(path, "log", "--format=%D", "--reverse").split("\n")[0] == "tag: v1.1.0"
    assert repository.git(path, "tag").split() == ["v1.1.0", "v2.0.0-crash"]


def test_the_demo_settings_hold_for_every_environment() -> None:
    config = Config.read(repository.demo_settings("127.0.0.1:9999", python='/odd "place"/python'))
    for environment in ENVIRONMENTS:
        settings = config.settings("shop", environment)
        assert settings.spec.listen == "127.0.0.1:9999"
        assert settings.spec.run[0] == '/odd "place"/python'
        assert settings.deploy.canary.steps == (10, 50, 100)
        assert (settings.deploy.verify_window, settings.deploy.bake, settings.deploy.rollback_window) == (3, 3, 3)
        assert not settings.deploy.rolling.pause_after_first  # prod's default would stop the demo
        assert settings.health_checks.error_rate.bound == 0.005


def test_smoke_and_health_do_not_see_the_faults_that_the_judge_must_find() -> None:
    spec = Config.read(repository.demo_settings()).settings("shop", "prod").spec
    assert {spec.health.path, *(smoke.path for smoke in spec.smoke_list)} == {"/healthz", "/"}


def test_wrong_settings_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(DeployError) as refused:
        repository.make_repository(tmp_path / "shop", settings="services: {}")
    assert refused.value.code == "E_CONFIG"
    assert not (tmp_path / "shop").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(DeployError) as refused:
        repository.make_repository(tmp_path)
    assert refused.value.code == "E_USAGE"
    assert (tmp_path / "mine").read_text() == "precious"


def test_without_git_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeployError) as refused:
        repository.make_repository(tmp_path / "shop")
    assert refused.value.code == "E_NO_REPOSITORY"
    assert "git is not installed" in refused.value.what


def test_the_wheel_carries_the_shop_inside_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = tmp_path / "site" / "soc_deploy_mcp"
    (packaged / "_texts" / "examples" / "shop").mkdir(parents=True)
    monkeypatch.setattr(repository, "files", lambda _name: packaged)
    with pytest.raises(DeployError) as missing:
        repository.shop_folder()
    assert missing.value.code == "E_INTERNAL"
    (packaged / "_texts" / "examples" / "shop" / "server.py").write_text("")
    assert repository.shop_folder() == packaged / "_texts" / "examples" / "shop"


def test_settings_of_a_test_are_committed_on_top_and_merged_key_by_key(versions: Path) -> None:
    write_settings(versions, 9998, {"deploy": {"bake": "10s"}, "services": {"shop": {"instances": 1}}})
    settings = Config.read((versions / "soc-deploy.yaml").read_text()).settings("shop", "staging")
    assert (settings.deploy.bake, settings.deploy.verify_window, settings.spec.instances) == (10, 3, 1)
    assert repository.git(versions, "status", "--porcelain") == ""
