"""What a person sees who types `soc-deploy install`."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from soc_deploy_mcp.interfaces.cli.install import installing
from tests.interfaces.cli.install.sites import Sites, tree

COMMAND = ".opencode/commands/soc-deploy.md"
CLAUDE_COMMAND = ".claude/commands/soc-deploy.md"
UPSTREAM = b"---\ndescription: a prompt of 270 lines\n---\n\n<user-instruction>$ARGUMENTS</user-instruction>"


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A stand-in for the file of super-opencode, which is known by its digest."""
    monkeypatch.setattr(installing, "UPSTREAM", hashlib.sha256(UPSTREAM).hexdigest())
    return UPSTREAM


def test_an_empty_project_gets_a_server_and_a_command_for_each_client(sites: Sites) -> None:
    assert sites.run("install --client opencode --client claude") == 0
    assert sites.config("opencode.json")["mcp"]["soc-deploy"]["command"] == ["soc-deploy", "serve"]
    assert sites.config(".mcp.json")["mcpServers"]["soc-deploy"]["args"] == ["serve"]
    assert "$ARGUMENTS" in sites.read(COMMAND)
    assert "$ARGUMENTS" in sites.read(CLAUDE_COMMAND)
    assert "soc-deploy init" in sites.said  # the project has no soc-deploy.yaml
    assert "New MCP server" in sites.said or "new MCP server" in sites.said


def test_installing_twice_changes_nothing(sites: Sites) -> None:
    sites.run("install --client opencode --client claude")
    first = tree(sites.project)
    assert set(sites.outcomes("install --client opencode --client claude").values()) == {"unchanged"}
    assert tree(sites.project) == first


def test_a_dry_run_shows_the_difference_and_writes_nothing(sites: Sites) -> None:
    sites.write("opencode.json", '{\n  "model": "a/b"\n}\n')
    before = tree(sites.project)
    assert sites.run("install --client opencode --dry-run") == 0
    assert '+  "mcp": {' in sites.said
    assert f"+++ {COMMAND}" in sites.said
    assert "nothing is written" in sites.said
    assert tree(sites.project) == before


def test_from_a_folder_inside_the_project_the_root_is_written(sites: Sites) -> None:
    (sites.project / "src").mkdir()
    with sites.entered(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(sites.project / "src")
        assert sites.run("install --client claude") == 0
    assert (sites.project / ".mcp.json").exists()


def test_trust_lets_the_writing_tools_through_and_without_it_they_go_back_to_asking(sites: Sites) -> None:
    def granted() -> tuple[set[str], str]:
        permission = sites.config("opencode.json")["permission"]
        line = next(line for line in sites.read(CLAUDE_COMMAND).splitlines() if line.startswith("allowed-tools:"))
        return {name for name, word in permission.items() if word == "allow"}, line

    looking = {"soc-deploy_status", "soc-deploy_report", "soc-deploy_releases"}
    sites.run("install --client opencode --client claude")
    allowed, line = granted()
    assert allowed == looking
    assert line == "allowed-tools: mcp__soc-deploy__status mcp__soc-deploy__report mcp__soc-deploy__releases"
    sites.run("install --client opencode --client claude --trust")
    allowed, line = granted()
    assert allowed - looking == {f"soc-deploy_{tool}" for tool in ("soc_deploy", "deploy", "rollback", "control")}
    assert line.endswith(" mcp__soc-deploy__control")
    assert "--auto-approve" in sites.said  # what it means
    sites.run("install --client opencode --client claude")
    assert granted()[0] == looking
    sites.run("uninstall --client opencode --client claude")
    assert list(tree(sites.project)) == [".git"]


def test_the_wildcard_stands_before_what_it_must_not_hide(sites: Sites) -> None:
    sites.run("install --client opencode --trust")
    names = list(sites.config("opencode.json")["permission"])
    assert names[0] == "soc-deploy_*"


def test_the_file_of_super_opencode_is_replaced_kept_and_given_back(sites: Sites, upstream: bytes) -> None:
    sites.write(COMMAND, upstream)
    before = tree(sites.project)
    assert sites.run("install --client opencode") == 0
    assert "super-opencode" in sites.said
    assert sites.read(COMMAND).encode() != upstream
    assert [path.read_bytes() for path in (sites.project / ".soc-deploy/backup").iterdir()] == [upstream]
    assert sites.outcomes("uninstall --client opencode")[COMMAND] == "restored"
    assert tree(sites.project) == before


def test_with_other_line_endings_it_is_the_same_file(sites: Sites, upstream: bytes) -> None:
    sites.write(COMMAND, upstream.replace(b"\n", b"\r\n"))
    assert sites.outcomes("install --client opencode")[COMMAND] == "wrote"


def test_a_command_of_somebody_else_is_refused_and_then_nothing_is_written(sites: Sites) -> None:
    sites.write(COMMAND, "---\ndescription: mine\n---\nship it\n")
    before = tree(sites.project)
    assert sites.run("install --client opencode") == 1
    assert "--replace" in sites.said
    assert "Nothing was changed" in sites.said
    assert tree(sites.project) == before


def test_replace_keeps_a_copy_of_it_and_uninstall_gives_it_back(sites: Sites) -> None:
    sites.write(COMMAND, "mine\n")
    sites.write("opencode.json", '{"mcp": {"soc-deploy": {"type": "remote", "url": "http://127.0.0.1:1/"}}}')
    before = tree(sites.project)
    assert sites.run("install --client opencode") == 1
    assert sites.run("install --client opencode --replace") == 0
    assert sites.config("opencode.json")["mcp"]["soc-deploy"]["type"] == "local"
    sites.run("uninstall --client opencode")
    assert tree(sites.project) == before


@pytest.mark.parametrize("path", [COMMAND, "opencode.json"])
def test_what_the_user_changed_in_ours_is_kept_unless_they_say_replace(sites: Sites, path: str) -> None:
    sites.run("install --client opencode")
    changed = sites.read(path).replace("600000", "900000").replace("exactly once", "once")
    sites.write(path, changed)
    assert sites.outcomes("install --client opencode")[path] == "kept"
    assert sites.read(path) == changed
    assert sites.outcomes("uninstall --client opencode")[path] == "kept" or "900000" in sites.read(path)
    sites.write(path, changed)
    assert sites.outcomes("install --client opencode --replace")[path] in ("wrote", "merged")
    assert sites.read(path) != changed


def test_a_permission_that_the_user_chose_stays(sites: Sites) -> None:
    sites.write("opencode.json", '{"permission": {"soc-deploy_status": "deny"}}')
    assert sites.run("install --client opencode") == 0
    assert sites.config("opencode.json")["permission"]["soc-deploy_status"] == "deny"
    assert "soc-deploy_status" in sites.said
    sites.run("uninstall --client opencode")
    assert sites.config("opencode.json") == {"permission": {"soc-deploy_status": "deny"}}


@pytest.mark.parametrize("word", ["ask", "allow", "deny"])
def test_a_permission_for_everything_is_not_ours_to_change(sites: Sites, word: str) -> None:
    before = f'{{"permission": "{word}"}}'
    sites.write("opencode.json", before)
    assert sites.run("install --client opencode --trust --replace") == 0
    assert "(as you have it: permission)" in sites.said
    assert sites.config("opencode.json")["permission"] == word
    assert sites.config("opencode.json")["mcp"]["soc-deploy"]["enabled"]
    sites.run("uninstall --client opencode")
    assert sites.read("opencode.json") == before


def test_where_one_file_is_refused_the_others_are_not_said_to_be_written(sites: Sites) -> None:
    sites.write("opencode.json", '{"mcp": []}')
    assert sites.run("install --client opencode") == 1
    assert "mcp is no object" in sites.said
    assert sites.outcomes("install --client opencode") == {"opencode.json": "refused", COMMAND: "skipped"}
    assert not (sites.project / COMMAND).exists()


def test_what_is_to_be_pasted_lets_nothing_through_unasked(sites: Sites) -> None:
    sites.run("install --client opencode")
    wanted = sites.config("opencode.json")
    sites.write("opencode.json", "{")
    sites.run("install --client opencode", as_json=True)
    (row, _) = json.loads(sites.said)["clients"][0]["files"]
    assert json.loads(row["snippet"]) == {name: wanted[name] for name in ("mcp", "permission")}


@pytest.mark.parametrize(
    ("client", "path", "text", "where"),
    [
        ("opencode", "opencode.json", '{\n  "model": oops\n}\n', "line 2, column 12"),
        ("claude", ".mcp.json", "{\n  // comments are not JSON\n}\n", "line 2, column 3"),
        ("claude", ".mcp.json", "", "line 1, column 1"),
        ("claude", ".mcp.json", b"\xff\xfe{\x00}\x00", "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_left_alone_and_the_entry_shown(
    sites: Sites, client: str, path: str, text: str | bytes, where: str
) -> None:
    file = sites.write(path, text)
    before = file.read_bytes()
    assert sites.run(f"install --client {client}") == 1
    assert where in sites.said
    assert json.loads(sites.said.partition("yourself:\n")[2].partition("\n- ")[0])  # to paste
    assert file.read_bytes() == before


def test_opencode_settings_with_comments_are_merged_wherever_they_are(sites: Sites) -> None:
    sites.write("opencode.jsonc", '{\n  // ours since 2024\n  "model": "a/b", // the cheap one\n}\n')
    assert sites.outcomes("install --client opencode") == {"opencode.jsonc": "merged", COMMAND: "wrote"}
    text = sites.read("opencode.jsonc")
    assert text.startswith('{\n  // ours since 2024\n  "model": "a/b", // the cheap one\n  "mcp": {\n')
    assert not (sites.project / "opencode.json").exists()


def test_a_link_that_leaves_the_project_is_refused(sites: Sites, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    (sites.project / "opencode.json").symlink_to(outside)
    assert sites.run("install --client opencode") == 1
    assert "leads out of the project" in sites.said
    (sites.project / ".claude").symlink_to(tmp_path)
    assert sites.run("install --client claude") == 1
    assert outside.read_text() == "{}"
    assert not (tmp_path / "commands").exists()


def test_a_link_inside_the_project_stays_a_link(sites: Sites) -> None:
    sites.write("settings/opencode.json", "{}")
    (sites.project / "opencode.json").symlink_to("settings/opencode.json")
    before = tree(sites.project)
    assert sites.run("install --client opencode") == 0
    assert (sites.project / "opencode.json").is_symlink()
    assert sites.config("settings/opencode.json")["mcp"]
    sites.run("uninstall --client opencode")
    assert tree(sites.project) == before


@pytest.mark.parametrize("path", ["opencode.json", COMMAND, ".opencode", ".soc-deploy/install.json"])
def test_what_stands_in_the_way_is_named(sites: Sites, path: str) -> None:
    if path == ".opencode":
        sites.write(path, "a file where a folder must be")
    else:
        (sites.project / path).mkdir(parents=True)
    assert sites.run("install --client opencode") == 1
    assert path in sites.said


def test_whoever_has_the_old_file_open_never_sees_half_of_the_new_one(sites: Sites) -> None:
    with sites.write(".mcp.json", '{"theirs": 1}').open() as old:
        sites.run("install --client claude")
        assert old.read() == '{"theirs": 1}'


def test_a_file_keeps_its_mode(sites: Sites) -> None:
    sites.write(".mcp.json", "{}").chmod(0o600)
    sites.run("install --client claude")
    assert (sites.project / ".mcp.json").stat().st_mode & 0o777 == 0o600


def test_for_a_user_the_files_are_in_the_home_directory_and_name_this_installation(sites: Sites) -> None:
    (sites.home / ".claude.json").write_text('{\n  "numStartups": 7,\n  "projects": {}\n}')
    before = tree(sites.home)
    assert sites.run("install --client claude --client opencode --scope user") == 0
    found = json.loads((sites.home / ".claude.json").read_text())
    assert found["mcpServers"]["soc-deploy"]["command"] == str(sites.script)
    assert found["numStartups"] == 7
    opencode = json.loads((sites.home / ".config/opencode/opencode.json").read_text())
    assert opencode["mcp"]["soc-deploy"]["command"] == [str(sites.script), "serve"]
    assert (sites.home / ".config/opencode/commands/soc-deploy.md").exists()
    assert (sites.home / ".claude/commands/soc-deploy.md").exists()
    assert (sites.state / "install.json").exists()
    sites.run("uninstall --client claude --client opencode --scope user")
    assert tree(sites.home) == before
    assert list(tree(sites.project)) == [".git"]


def test_the_clients_own_variables_move_a_users_files(sites: Sites, tmp_path: Path) -> None:
    elsewhere = {"CLAUDE_CONFIG_DIR": str(tmp_path / "claude"), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sites, "environ", {**sites.environ, **elsewhere})
        assert sites.run("install --client claude --client opencode --scope user") == 0
    assert (tmp_path / "claude/.claude.json").exists()
    assert (tmp_path / "claude/commands/soc-deploy.md").exists()
    assert (tmp_path / "xdg/opencode/opencode.json").exists()
    assert list(tree(sites.home)) == []


def test_check_says_whether_everything_is_as_this_version_writes_it(sites: Sites) -> None:
    assert sites.run("install --check") == 1
    assert "No client files" in sites.said
    sites.run("install --client opencode --client claude")
    before = tree(sites.project)
    assert sites.run("install --check") == 0
    assert "Claude Code" in sites.said
    assert "OpenCode" in sites.said
    assert sites.run("install --check --trust") == 1
    (sites.project / COMMAND).unlink()
    assert sites.run("install --check --client opencode") == 1
    assert sites.run("install --check --client claude") == 0
    sites.run("install --client opencode")
    record = ".soc-deploy/install.json"
    assert {**tree(sites.project), record: 0} == {**before, record: 0}


def test_a_colleague_without_our_records_may_update_and_uninstall(sites: Sites) -> None:
    sites.run("install --client opencode --client claude --trust")
    for name in ("install.json", ".gitignore"):
        (sites.project / ".soc-deploy" / name).unlink()
    (sites.project / ".soc-deploy").rmdir()
    assert sites.run("install --check --trust") == 0
    assert sites.outcomes("install --client claude")[CLAUDE_COMMAND] == "wrote"  # without --trust now
    sites.run("uninstall --client opencode --client claude")
    left = tree(sites.project)
    assert [name for name, (kind, *_) in left.items() if kind == "file"] == []


def test_a_colleague_keeps_the_plain_name_of_the_server(sites: Sites) -> None:
    sites.run("install --client opencode --client claude")
    sites.script.rename(sites.bin / "not-on-path")
    committed = tree(sites.project)
    for name in ("install.json", ".gitignore"):
        (sites.project / ".soc-deploy" / name).unlink()
    found = sites.outcomes("install --client opencode --client claude")
    assert found["opencode.json"] == found[".mcp.json"] == "unchanged"
    assert sites.read("opencode.json").encode() == committed["opencode.json"][1]


def test_a_changed_file_of_ours_is_known_without_records_too(sites: Sites) -> None:
    sites.run("install --client opencode")
    (sites.project / ".soc-deploy/install.json").unlink()
    changed = sites.read(COMMAND) + "And be quick.\n"
    sites.write(COMMAND, changed)
    assert sites.outcomes("install --client opencode")[COMMAND] == "kept"
    assert sites.run("uninstall --client opencode") == 0
    assert sites.read(COMMAND) == changed


def test_what_git_did_to_the_line_endings_does_not_make_it_another_file(sites: Sites) -> None:
    sites.run("install --client claude")
    (sites.project / ".soc-deploy/install.json").unlink()
    sites.write(CLAUDE_COMMAND, sites.read(CLAUDE_COMMAND).replace("\n", "\r\n"))
    assert sites.outcomes("install --client claude")[CLAUDE_COMMAND] == "wrote"


def test_two_clients_do_not_take_each_others_files_away(sites: Sites) -> None:
    sites.run("install --client claude")
    claude = tree(sites.project)
    sites.run("install --client opencode")
    sites.run("uninstall --client opencode")
    assert set(tree(sites.project)) == set(claude)
    assert sites.run("install --check --client claude") == 0


def test_uninstalling_what_is_not_there_does_nothing(sites: Sites) -> None:
    sites.write("opencode.json", '{"mcp": {"soc-deploy": {"type": "remote", "url": "http://127.0.0.1:1/"}}}')
    before = tree(sites.project)
    assert sites.run("uninstall --client opencode --client claude") == 0
    assert tree(sites.project) == before


def test_folders_with_other_things_in_them_stay(sites: Sites) -> None:
    sites.run("install --client opencode --client claude")
    sites.write(".claude/commands/other.md", "theirs")
    sites.write(".soc-deploy/reports/one.md", "a report")
    sites.run("uninstall --client opencode --client claude")
    files = [name for name, (kind, *_) in tree(sites.project).items() if kind == "file"]
    assert files == [".claude/commands/other.md", ".soc-deploy/.gitignore", ".soc-deploy/reports/one.md"]


def test_a_command_in_opencodes_other_folder_is_named(sites: Sites) -> None:
    sites.write(".opencode/command/soc-deploy.md", "an old one")
    sites.run("install --client opencode")
    assert ".opencode/command/soc-deploy.md defines /soc-deploy as well" in sites.said


def test_lines_for_gitignore_are_shown_until_they_are_there(sites: Sites) -> None:
    sites.run("install --client opencode")
    assert ".opencode/node_modules/" in sites.said
    names = (".gitignore", "node_modules/", "package.json", "package-lock.json", "bun.lock")
    sites.write(".gitignore", "".join(f".opencode/{name}\n" for name in names))
    sites.run("install --client opencode")
    assert ".gitignore" not in sites.said


def test_a_chosen_command_is_written_as_it_is(sites: Sites) -> None:
    sites.run("install --client claude --command /opt/soc/bin/soc-deploy")
    assert sites.config(".mcp.json")["mcpServers"]["soc-deploy"]["command"] == "/opt/soc/bin/soc-deploy"
    assert "no program on this machine" in sites.said


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("install", "E_USAGE", "--client is missing"),
        ("install --client", "E_USAGE", "--client"),
        ("install --client emacs", "E_CLIENT", "opencode, claude"),
        ("install --check --client emacs", "E_CLIENT", "opencode, claude"),
        ("install --client claude --scope world", "E_USAGE", "--scope"),
        ("install --client claude --trus", "E_USAGE", "--trus"),
        ("uninstall --client claude --trust", "E_USAGE", "--trust"),
        ("uninstall", "E_USAGE", "--client is missing"),
    ],
)
def test_wrong_usage_says_what_there_is(sites: Sites, line: str, code: str, said: str) -> None:
    error = sites.refusal(line)
    assert (error.code, int(error.exit)) == (code, 64)
    assert said in f"{error.what} {error.why}"
    assert list(tree(sites.project)) == [".git"]


def test_a_record_that_cannot_be_read_stops_the_work(sites: Sites) -> None:
    sites.write(".soc-deploy/install.json", "{}")
    assert sites.run("install --client claude") == 1
    assert "install.json" in sites.said
    assert not (sites.project / ".mcp.json").exists()


def test_what_changes_while_we_work_is_not_overwritten(sites: Sites) -> None:
    sites.write(".mcp.json", "{}")
    real, theirs = os.replace, '{"theirs": 1}'

    def replaced(source: str, target: str) -> None:
        real(source, target)
        if target.endswith("install.json") and sites.read(".mcp.json") == "{}":
            sites.write(".mcp.json", theirs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replaced)
        assert sites.run("install --client claude") == 1
    assert sites.read(".mcp.json") == theirs
    assert "changed meanwhile" in sites.said
    assert sites.run("install --client claude") == 0
    assert sites.config(".mcp.json")["theirs"] == 1
