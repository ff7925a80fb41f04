"""How clients are told to start the server."""

from pathlib import Path

import pytest

from soc_deploy_mcp.interfaces.cli.install.launch import Here, launch
from soc_deploy_mcp.interfaces.cli.install.render import argv_of


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_committed_files_name_the_program_that_path_leads_to(tmp_path: Path) -> None:
    script = program(tmp_path / "bin/soc-deploy")
    here = Here(script, "/usr/bin/python3", str(tmp_path / "bin"))
    assert launch("project", here) == (("soc-deploy",), "")
    assert launch("user", here) == ((script,), "")


def test_a_link_on_path_is_followed_but_not_written(tmp_path: Path) -> None:
    script = program(tmp_path / "venv/bin/soc-deploy")
    link = tmp_path / "local/soc-deploy"
    link.parent.mkdir()
    link.symlink_to(script)
    assert launch("project", Here(script, "/usr/bin/python3", str(link.parent))).argv == ("soc-deploy",)
    assert launch("user", Here(str(link), "/usr/bin/python3", str(link.parent))).argv == (str(link),)


def test_another_installation_on_path_is_not_ours(tmp_path: Path) -> None:
    script = program(tmp_path / "venv/bin/soc-deploy")
    program(tmp_path / "bin/soc-deploy")
    found = launch("project", Here(script, "/usr/bin/python3", str(tmp_path / "bin")))
    assert found.argv == (script,)
    assert "this machine only" in found.note


def test_a_virtual_environment_that_must_be_active_is_named(tmp_path: Path) -> None:
    script = program(tmp_path / "venv/bin/soc-deploy")
    here = Here(script, "/usr/bin/python3", str(tmp_path / "venv/bin"), str(tmp_path / "venv"))
    found = launch("project", here)
    assert found.argv == ("soc-deploy",)
    assert str(tmp_path / "venv") in found.note


def test_run_as_a_module_the_script_beside_the_interpreter_is_found(tmp_path: Path) -> None:
    script = program(tmp_path / "bin/soc-deploy")
    here = Here("/somewhere/soc_deploy_mcp/__main__.py", str(tmp_path / "bin/python3"), "/nowhere")
    assert launch("user", here).argv == (script,)


def test_without_any_script_the_module_is_run_and_the_project_cannot_shadow_it(tmp_path: Path) -> None:
    here = Here("/somewhere/__main__.py", str(tmp_path / "python3"), "/nowhere")
    assert launch("user", here).argv == (str(tmp_path / "python3"), "-P", "-m", "soc_deploy_mcp")


@pytest.mark.parametrize(
    ("entry", "argv"),
    [
        ({"command": ["soc-deploy", "serve"]}, ("soc-deploy",)),
        ({"command": "/opt/bin/soc-deploy", "args": ["serve"]}, ("/opt/bin/soc-deploy",)),
        ({"command": "/usr/bin/python3", "args": ["-P", "-m", "soc_deploy_mcp", "serve"]}, None),
        ({"command": "npx", "args": ["soc-deploy", "serve"]}, ()),
        ({"command": ["soc-deploy", "daemon"]}, ()),
        ({"url": "http://127.0.0.1:1"}, ()),
        ({"command": []}, ()),
        ({"command": 1}, ()),
        ({"command": "soc-deploy", "args": "serve"}, ()),
        ("soc-deploy serve", ()),
        (None, ()),
    ],
)
def test_an_entry_that_starts_us_is_known_by_its_words(entry: object, argv: tuple[str, ...] | None) -> None:
    words = ("/usr/bin/python3", "-P", "-m", "soc_deploy_mcp") if argv is None else argv
    assert argv_of(entry) == words  # type: ignore[arg-type]
