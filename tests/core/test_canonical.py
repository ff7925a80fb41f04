"""Equal values give equal bytes; anything else does not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.canonical import canonical, digest

_leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values: st.SearchStrategy[Any] = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


def shuffled(value: Any) -> Any:
    """The same value, with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(values)
def test_the_order_of_keys_says_nothing(value: Any) -> None:
    assert canonical(value) == canonical(shuffled(value))


@given(values)
def test_it_is_json_that_reads_back(value: Any) -> None:
    assert json.loads(canonical(value)) == value


@given(values, values)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(one) == digest(other)) is same


def test_no_blank_is_added_and_signs_stay_as_they_are() -> None:
    assert canonical({"b": [1, "ü"], "a": None}) == '{"a":null,"b":[1,"ü"]}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), [{"a": float("nan")}]])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical(value)


def test_a_digest_is_64_hex_digits_and_known_to_other_programs() -> None:
    # printf '{"a":1}' | sha256sum
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
