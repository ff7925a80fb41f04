"""What a plan's hash covers: everything that was planned, and nothing that moves by itself."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from soc_deploy_mcp.core.plan import Advice, Candidate, Migrate, Plan, StepPower, Waiver, WayBack
from tests.core.report.journals import plan as planned

Path = tuple[str | int, ...]


def whole() -> Plan:
    """A plan in which no list is empty, so that there is something to change everywhere."""
    made = planned("Canary 5 %", "Canary 100 %", waivers=(Waiver(check="g.tests", flag="--skip-tests"),))
    steps = (made.steps[0].model_copy(update={"ops": (*made.steps[0].ops, Migrate(id="0001"))}), *made.steps[1:])
    back = made.way_back.model_copy(update={"candidates": (Candidate(version="v1.0.0", slug="a", refused="rule 1"),)})
    return made.model_copy(update={"steps": steps, "way_back": back, "reason": "because"})


PLAN = whole()


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list) and value:
        for index, each in enumerate(value):
            yield from leaves(each, (*path, index))
    else:
        yield path


OTHERS: tuple[Any, ...] = (
    *("another", "dev", "recreate", "rollback", "old", "off", "never", "PROMOTING", "dir", "extend", "refuse", "envoy"),
    *("/other", "127.0.0.1:9090", "{port}{port}", "<1%", "<1s", "a" * 64, "contract", "2s", "4m"),
    *(1, 3, 7, 60, 204, 1024, 0.02, 2.5, 250.5, 1800.0, 90000.0, True, False, None),
    *([["make"]], ["/other"], [{"path": "/other"}], {"NAME": "env:OTHER"}, {"all": []}),
    *([{"id": "0002", "run": ["migrate"]}], [{"name": "extra", "gauge": "extra"}]),
)


def changed(path: Path) -> Iterator[Plan]:
    """The plan with the value at `path` replaced by others, as far as that is a plan at all."""
    for other in OTHERS:
        data = json.loads(json.dumps(PLAN.to_json()))
        place = data
        for key in path[:-1]:
            place = place[key]
        if place[path[-1]] == other:
            continue
        place[path[-1]] = other
        try:
            yield Plan.from_json(data)
        except ValidationError:
            continue


COVERED = [path for path in leaves(PLAN.to_json()) if path[0] != "advice"]


def test_a_change_of_any_value_changes_the_hash() -> None:
    """Words of which there is one alone so far, the kind of an operation, and a canary's last step have no other."""
    fixed = set()
    for path in COVERED:
        other = next((other for other in changed(path) if other != PLAN), None)
        if other is None:
            fixed.add(path[-1])
        else:
            assert other.hash != PLAN.hash, path
    assert fixed == {"kind", "platform", "runtime", "on_conflict", len(PLAN.settings.deploy.canary.steps) - 1}


def shorter(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where one element of a list, or one key of a mapping, could be left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield (*path, key)
        yield from shorter(each, (*path, key))


def test_whatever_is_left_out_of_a_plan_changes_the_hash_or_is_said_anew() -> None:
    """A key with its default value may be left out: then the plan that is read back is the same, and so is its hash."""
    dropped = 0
    for path in shorter(PLAN.to_json()):
        if path[0] == "advice":
            continue
        data = json.loads(json.dumps(PLAN.to_json()))
        place = data
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        try:
            other = Plan.from_json(data)
        except ValidationError:
            continue
        dropped += other != PLAN
        assert (other.hash == PLAN.hash) is (other == PLAN), path
    assert dropped > 10


def test_no_field_is_left_out_but_the_advice() -> None:
    assert {path[0] for path in COVERED} == set(Plan.model_fields) - {"advice"}


_power = st.builds(
    StepPower,
    key=st.just("a"),
    metric=st.text(max_size=5),
    ratio=st.none() | st.floats(1, 9),
    accept_s=st.none() | st.floats(0, 900),
    accept_chance=st.floats(0, 1),
)
_advice = st.builds(
    Advice,
    power=st.lists(_power, max_size=2).map(tuple),
    risks=st.lists(st.text(max_size=9), max_size=2).map(tuple),
    duration_s=st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)),
    downtime_s=st.none() | st.floats(0, 60),
    back_s=st.none() | st.floats(0, 60),
    back_basis=st.text(max_size=9),
)


@given(_advice)
def test_what_was_estimated_moves_with_the_traffic_and_is_not_approved(advice: Advice) -> None:
    assert PLAN.model_copy(update={"advice": advice}).hash == PLAN.hash


def test_a_plan_read_back_from_the_journal_has_the_hash_it_was_written_with() -> None:
    assert Plan.from_json(json.loads(json.dumps(PLAN.to_json()))).hash == PLAN.hash


def turned(value: Any) -> Any:
    """The same data with the keys of every mapping in another order."""
    if isinstance(value, dict):
        return {key: turned(each) for key, each in reversed(value.items())}
    return [turned(each) for each in value] if isinstance(value, list) else value


def test_the_order_of_keys_in_a_file_is_no_part_of_the_plan() -> None:
    data = PLAN.to_json()
    data["new"]["spec"]["env"] = {"LEVEL": "info", "MODE": "fast"}
    other = turned(data)
    assert list(other["new"]["spec"]["env"]) == ["MODE", "LEVEL"]
    assert Plan.from_json(other).hash == Plan.from_json(data).hash


HASHES = """
import json
from soc_deploy_mcp.core.config import STRATEGIES
from tests.actions.deploy.test_strategies import DATA, EXPAND, context, steps
from tests.core.test_plan import PLAN
made = [PLAN.model_copy(update={"steps": steps(s, context(5, migrations=(EXPAND, DATA)))}) for s in STRATEGIES]
print(json.dumps([PLAN.hash, *(plan.hash for plan in made)]))
"""


def test_every_process_makes_the_same_hash_of_the_same_plan() -> None:
    """Whatever order its sets and mappings happen to have: an approval is given in one process and used in another."""
    root = File(__file__).parents[2]
    said = set()
    for seed in ("0", "1", "4711"):
        environ = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", HASHES]
        done = subprocess.run(command, env=environ, cwd=root, capture_output=True, text=True, check=True)
        said.add(done.stdout)
    (hashes,) = said
    assert json.loads(hashes)[0] == PLAN.hash
    assert len(set(json.loads(hashes))) == 5


def test_the_order_of_steps_is_part_of_the_plan() -> None:
    assert PLAN.model_copy(update={"steps": PLAN.steps[::-1]}).hash != PLAN.hash


def test_a_plan_without_steps_changes_nothing_and_says_so() -> None:
    assert planned().no_change
    assert not PLAN.no_change


def test_a_way_back_that_was_not_found_is_another_plan() -> None:
    lost = PLAN.model_copy(update={"way_back": WayBack(release=None, why="its files are gone")})
    assert lost.hash != PLAN.hash


@pytest.mark.parametrize("field", ["hash", "no_change"])
def test_what_follows_from_a_plan_cannot_be_written_into_it(field: str) -> None:
    with pytest.raises(ValidationError, match="extra"):
        Plan.from_json(PLAN.to_json() | {field: "x"})
