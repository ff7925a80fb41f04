"""What an instance's files and processes say about it."""

import json
from pathlib import Path

import pytest

from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.tools.local import instances
from soc_deploy_mcp.tools.local.layout import Place
from tests.tools.local.builders import instance, release, status


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place.of(tmp_path, Target(project="/p", service="shop", environment="dev"))
    found.make()
    return found


def test_placeholders_are_filled_in_and_a_relative_program_lies_in_the_release(place: Place) -> None:
    made = release(run=["bin/app", "{port}", "{version}", "{release}", "{shared}/data"])
    argv = instances.arguments(made, 21001, place)
    assert argv == [
        str(place.release(made.slug) / "bin/app"),
        "21001",
        "v1.0.0",
        made.slug,
        f"{place.shared}/data",
    ]
    assert instances.arguments(release(run=["app", "{port}"]), 21001, place)[0] == "app"


def test_the_environment_is_built_and_secrets_win_over_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRAY", "x")
    made = release(env={"LOG_LEVEL": "info"}, secrets={"KEY": "env:KEY"})
    found = instances.environment(made, 21001, {"KEY": "v"})
    assert set(found) == {"PATH", "HOME", "LANG", "PORT", "VERSION", "LOG_LEVEL", "KEY"}
    assert (found["PORT"], found["VERSION"]) == ("21001", "v1.0.0")


def test_an_order_holds_no_secret_and_no_environment(place: Place) -> None:
    made = release(env={"LOG_LEVEL": "info"}, secrets={"KEY": "env:KEY"})
    ordered = instances.order(place, made, Epoch(7))
    text = (ordered.directory / "spec.json").read_text()
    assert "LOG_LEVEL" not in text
    assert "KEY" not in text
    assert json.loads(text)["fence"] == {"path": str(place.guard_record), "epoch": 7}


@pytest.mark.parametrize(
    ("changes", "lasting", "over", "crashes"),
    [
        ({}, True, False, 0),
        ({"supervised": False}, True, False, 0),  # the application outlives its supervisor
        ({"alive": False, "status": status(state="exited", restarts=1)}, True, False, 1),  # will be started again
        ({"alive": False, "status": status(state="failed", restarts=3)}, False, True, 3),
        ({"alive": False, "status": status(state="exited", stopped=True)}, False, True, 0),
        ({"alive": False, "supervised": False}, False, True, 1),  # both died, nobody counted it
        ({"alive": False, "status": None}, True, False, 0),  # its supervisor is just starting
        ({"alive": False, "status": None, "supervised": False}, False, True, 0),  # a half-made start
    ],
)
def test_what_becomes_of_an_instance(changes: dict[str, object], lasting: bool, over: bool, crashes: int) -> None:
    seen = instance(**changes)
    assert (seen.lasting, seen.over, seen.crashes) == (lasting, over, crashes)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"state": "running"}', '{"state": 1, "pid": {}}'])
def test_a_status_that_is_none_is_not_taken_for_one(text: str) -> None:
    assert instances.parse_status(text) is None


def test_a_directory_without_an_order_is_no_instance(place: Place) -> None:
    (place.instances / "v1_0_0-aaaa1111-21001").mkdir()
    assert instances.scan(place) == []


def test_the_output_of_a_release_that_failed_can_be_read_until_a_newer_one_comes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((1.0, 2.0, 3.0, 4.0))
    monkeypatch.setattr("soc_deploy_mcp.tools.local.instances.time.time", lambda: next(clock))
    failed_before, serving = (instances.order(place, release(v), Epoch(1)) for v in ("v1.0.0", "v1.1.0"))
    instances.bury(failed_before)
    assert [i.name for i in instances.told(place)] == [serving.name]
    failed = instances.order(place, release("v1.2.0"), Epoch(1))
    instances.bury(failed)
    assert [i.name for i in instances.told(place)] == [serving.name, failed.name]
    assert [i.name for i in instances.scan(place)] == [serving.name]
    fixed = instances.order(place, release("v1.3.0"), Epoch(1))
    assert [i.name for i in instances.told(place)] == [serving.name, fixed.name]


def test_the_end_of_the_output_is_short_and_without_known_secrets(tmp_path: Path) -> None:
    (tmp_path / "out.log").write_text("x" * 10000 + "\n" + "line\n" * 30 + "password is hunter22\n")
    text = instances.tail(tmp_path, lines=5, secrets=["hunter22"])
    assert text.splitlines() == ["line"] * 4 + ["password is ***"]
    assert instances.tail(tmp_path / "nowhere") == ""


def test_the_cut_at_the_beginning_leaves_no_half_of_a_secret(tmp_path: Path) -> None:
    """Whoever takes secrets out later cannot know the second half of one."""
    filler = "x" * (instances.TAIL_BYTES - 12) + "\n"
    (tmp_path / "out.log").write_text(f"password is hunter22-and-more\n{filler}ready\n")
    text = instances.tail(tmp_path)
    assert "more" not in text
    assert text.endswith("ready")
