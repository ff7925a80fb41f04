"""The guard alone: what it refuses, what survives a crash at any point, and the timer."""

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.tools.local import guard as guard_script
from soc_deploy_mcp.tools.local.guard import Guard, Refused

Json = dict[str, Any]


class Killed(Exception):
    """The process ends here."""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stage").mkdir()
    (tmp_path / "xds").mkdir()
    return tmp_path


def files(word: str) -> dict[str, str]:
    return {"eds-a.json": f"eds {word}", "cds.json": f"cds {word}", "rds.json": f"rds {word}"}


def apply(guard: Guard, word: str, *, epoch: int = 1, seq: int | None = None, timer: Json | None = None) -> Json:
    return guard.answer(
        {
            "op": "apply",
            "epoch": epoch,
            "seq": guard.record["seq"] if seq is None else seq,
            "version": f"{epoch}.{word}",
            "state": {"word": word},
            "files": files(word),
            "timer": timer,
            "forget_fired": timer is not None,
        }
    )


def lease(seconds: float | None, kind: str = "lease") -> Json:
    return {"kind": kind, "s": seconds, "text": "rds fallback", "version": "1.fallback", "state": {"word": "fallback"}}


def on_disk() -> dict[str, str]:
    return {path.name: path.read_text() for path in Path("xds").iterdir()}


def error(guard: Guard, request: Json) -> str:
    with pytest.raises(Refused) as caught:
        guard.answer(request)
    return str(caught.value.body["error"])


def word(guard: Guard) -> str:
    return str(guard.answer({"op": "status"})["state"]["word"])


@pytest.fixture
def guard() -> Guard:
    made = Guard()
    apply(made, "one")
    return made


def test_what_was_applied_is_on_the_disk_and_in_the_status(guard: Guard) -> None:
    assert on_disk() == files("one")
    assert word(guard) == "one"


def test_files_that_are_not_wanted_any_more_are_deleted(guard: Guard) -> None:
    Path("xds/eds-old.json").write_text("old")
    apply(guard, "two")
    assert set(on_disk()) == set(files("two"))


@pytest.mark.parametrize("op", ["claim", "renew", "apply"])
def test_an_older_epoch_changes_nothing(guard: Guard, op: str) -> None:
    guard.answer({"op": "claim", "epoch": 5})
    before = (json.dumps(guard.record), on_disk())
    request = {"op": op, "epoch": 4, "seq": 1, "lease_s": 1, "files": files("x"), "version": "", "state": {}}
    assert error(guard, {**request, "timer": None, "forget_fired": True}) == "stale_epoch"
    assert (json.dumps(guard.record), on_disk()) == before


def test_a_write_after_somebody_elses_is_refused(guard: Guard) -> None:
    seen = guard.record["seq"]
    apply(guard, "two")
    with pytest.raises(Refused, match="conflict"):
        apply(guard, "three", seq=seen)
    assert on_disk() == files("two")


def test_a_file_name_leads_nowhere_else(guard: Guard) -> None:
    request = {"op": "apply", "epoch": 1, "seq": 1, "files": {"../guard.json": "x"}, "timer": None}
    assert error(guard, request) == "bad_name"
    assert error(guard, {"op": "nothing"}) == "unknown_verb"


def test_the_timer_returns_the_routes_and_nothing_else(guard: Guard) -> None:
    apply(guard, "canary", timer=lease(0))
    assert guard.due()
    guard.fire()
    assert on_disk() == files("canary") | {"rds.json": "rds fallback"}
    status = guard.answer({"op": "status"})
    assert (status["state"], status["version"], status["timer"]) == ({"word": "fallback"}, "1.fallback", None)
    assert status["fired"]["kind"] == "lease"
    assert status["epoch"] == 1
    assert not guard.due()


def test_a_write_decided_before_the_timer_fired_is_refused(guard: Guard) -> None:
    apply(guard, "canary", timer=lease(0))
    seen = guard.record["seq"]
    guard.fire()
    with pytest.raises(Refused, match="conflict"):
        apply(guard, "more", seq=seen)


def test_renewing_moves_the_deadline_and_none_switches_it_off(guard: Guard) -> None:
    apply(guard, "canary", timer=lease(1000))
    first = guard.record["timer"]["deadline"]
    guard.answer({"op": "renew", "epoch": 2, "lease_s": 2000})
    assert guard.record["timer"]["deadline"] > first + 900
    assert guard.record["epoch"] == 2
    assert guard.answer({"op": "renew", "epoch": 2, "lease_s": None}) == {"ok": True, "armed": False}
    assert guard.record["timer"] is None


def test_the_timer_of_a_hold_is_not_the_owners_to_move(guard: Guard) -> None:
    apply(guard, "hold", timer=lease(1000, "hold"))
    deadline = guard.record["timer"]["deadline"]
    for seconds in (5000, None):
        guard.answer({"op": "renew", "epoch": 1, "lease_s": seconds})
    assert guard.record["timer"]["deadline"] == deadline


def test_a_hold_that_ends_is_no_dead_man(guard: Guard) -> None:
    apply(guard, "hold", timer=lease(0, "hold"))
    guard.fire()
    status = guard.answer({"op": "status"})
    assert status["fired"] is None
    assert status["events"][-1]["kind"] == "hold"


def test_a_write_may_keep_the_deadline_but_not_of_a_timer_that_is_gone(guard: Guard) -> None:
    apply(guard, "canary", timer=lease(1000))
    deadline = guard.record["timer"]["deadline"]
    apply(guard, "scaled", timer=lease(None))
    assert guard.record["timer"]["deadline"] == deadline
    apply(guard, "off")
    with pytest.raises(Refused, match="conflict"):
        apply(guard, "late", timer=lease(None))


def test_the_deadline_survives_a_restart_and_a_boot_ends_it(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(guard, "canary", timer=lease(1000))
    assert Guard().record["timer"] == guard.record["timer"]
    assert on_disk() == files("canary")
    monkeypatch.setattr(guard_script, "boot_id", lambda: "another boot")
    restarted = Guard()
    assert on_disk()["rds.json"] == "rds fallback"
    assert word(restarted) == "fallback"


def test_a_step_of_the_wall_clock_moves_no_deadline(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(guard, "canary", timer=lease(1000))
    monkeypatch.setattr(guard_script.time, "time", lambda: time.monotonic() + 1e9)
    assert not guard.due()


def test_a_deadline_that_passed_while_no_guard_ran_fires_before_anything_else(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(guard, "canary", timer=lease(1000))
    Path("xds/rds.json").write_text("rds fallback")  # the old guard died right after it had returned the routes
    (staged,) = Path("stage").iterdir()
    staged.unlink()
    written: list[str] = []
    replace = os.replace

    def watched(source: str, target: str) -> None:
        replace(source, target)
        if str(target).endswith("rds.json"):
            written.append(Path(target).read_text())

    monkeypatch.setattr(guard_script.os, "replace", watched)
    later = time.clock_gettime(time.CLOCK_BOOTTIME) + 2000
    monkeypatch.setattr(guard_script, "now", lambda: later)
    assert word(Guard()) == "fallback"
    assert on_disk()["rds.json"] == "rds fallback"
    assert "rds canary" not in written


def test_a_record_destroyed_by_a_loss_of_power_is_put_aside(guard: Guard) -> None:
    Path("guard.json").write_text("")
    assert Guard().record["epoch"] == 0
    assert Path("guard.json.broken").exists()


# --- crashes and full disks


@contextlib.contextmanager
def failing(call: int, failure: BaseException) -> Iterator[None]:
    """The n-th change of the file system does not happen."""
    left = iter(range(1, 1000))
    patch = pytest.MonkeyPatch()

    def broken(original: Any) -> Any:
        def instead(*words: Any, **named: Any) -> Any:
            if next(left) == call:
                raise failure
            return original(*words, **named)

        return instead

    for name in ("replace", "unlink"):
        patch.setattr(guard_script.os, name, broken(getattr(os, name)))
    patch.setattr(guard_script, "write", broken(guard_script.write))
    try:
        yield
    finally:
        patch.undo()


def is_all(word: str) -> bool:
    return on_disk() == files(word)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(call=st.integers(1, 12), timer=st.booleans())
def test_killed_at_any_point_the_next_guard_has_all_of_a_write_or_nothing(call: int, timer: bool) -> None:
    for path in (*Path("xds").iterdir(), *Path("stage").iterdir()):
        path.unlink()
    Path("guard.json").unlink(missing_ok=True)
    guard = Guard()
    apply(guard, "one", timer=lease(1000) if timer else None)
    with failing(call, Killed()), contextlib.suppress(Killed):
        apply(guard, "two", timer=None if timer else lease(1000))
    restarted = Guard()
    assert word(restarted) in ("one", "two")
    assert is_all(word(restarted))
    if restarted.record["timer"]:
        restarted.fire()
        assert on_disk()["rds.json"] == "rds fallback"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(call=st.integers(1, 12))
def test_without_space_nothing_changes_and_the_timer_still_can(call: int) -> None:
    guard = Guard()
    apply(guard, "one", timer=lease(1000))
    full = OSError(errno.ENOSPC, "No space left on device")
    with failing(call, full):
        try:
            apply(guard, "two", timer=lease(1000))
        except OSError:
            guard.unstage()
            assert word(guard) in ("one", "two")
            if word(guard) == "one":
                assert is_all("one")
    guard.fire()
    assert on_disk()["rds.json"] == "rds fallback"
