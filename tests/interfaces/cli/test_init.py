"""`soc-deploy init`: what it writes is valid, what it says is true, and what it says to type can be typed."""

import subprocess
from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.interfaces.cli import init
from soc_deploy_mcp.interfaces.cli.options import Options

APP = 'import os\nport = int(os.environ.get("PORT", "8000"))\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLAUDE_PROJECT_DIR", raising=False)
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def git(project: Path, *words: str) -> None:
    who = ("-c", "user.name=u", "-c", "user.email=u@example.com")
    subprocess.run(["git", *who, *words], cwd=project, check=True, capture_output=True)


def committed(project: Path, *tags: str) -> None:
    git(project, "init", "-q")
    git(project, "add", "app.py")
    git(project, "commit", "-q", "-m", "one")
    for tag in tags:
        git(project, "tag", tag)


def config(project: Path) -> Config:
    return Config.read((project / "soc-deploy.yaml").read_text())


def test_the_newest_tag_is_what_can_be_deployed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    committed(project, "v1.9.0", "v1.10.0", "nightly")
    assert init.run([], Options()) == 0
    said = capsys.readouterr()
    assert "run      python3 app.py   (app.py)" in said.out
    assert "soc-deploy dev --action deploy --version v1.10.0" in said.err


def test_without_a_tag_it_says_to_make_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    committed(project)
    init.run([], Options())
    assert "git tag v1.0.0" in capsys.readouterr().err


def test_a_directory_without_a_repository_is_deployed_as_a_directory(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init.run([], Options())
    artifact = config(project).settings(config(project).services[0], "dev").spec.artifact
    assert artifact.model_dump() == {"dir": "."}
    assert "git init" in capsys.readouterr().err


def test_every_environment_has_a_port_of_its_own(project: Path) -> None:
    init.run([], Options())
    made = config(project)
    service = made.services[0]
    assert len({made.settings(service, env).spec.listen for env in ("dev", "staging", "prod")}) == 3


def test_a_test_beside_the_application_is_found(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "test_app.py").write_text("import unittest\n")
    init.run([], Options())
    assert "tests    python3 -m unittest discover   (test_app.py)" in capsys.readouterr().out


def test_an_existing_file_stays_and_force_is_explained(project: Path) -> None:
    (project / "soc-deploy.yaml").write_text("schema: 1\n")
    with pytest.raises(DeployError) as refused:
        init.run([], Options())
    assert (refused.value.code, refused.value.try_) == ("E_CONFIG_EXISTS", "soc-deploy init --force")
    assert "lost" in refused.value.why
    assert (project / "soc-deploy.yaml").read_text() == "schema: 1\n"


@pytest.mark.parametrize("name", ["a" * 120, "größe 2", "prod", "9lives", "-"])
def test_any_name_of_the_directory_gives_a_file_that_is_read(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (project / name).mkdir()
    (project / name / "app.py").write_text(APP)
    monkeypatch.chdir(project / name)
    assert init.run([], Options()) == 0
    assert config(project / name).services
