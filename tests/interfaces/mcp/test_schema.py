"""What `tools/list` costs each conversation, and that slimming changes no meaning."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from soc_deploy_mcp.interfaces.mcp.schema import slim
from soc_deploy_mcp.interfaces.mcp.server import build
from tests.interfaces.fake_app import FakeApp


class Inner(BaseModel):
    title: str = "a field, no keyword"
    at: int | None = None


class Outer(BaseModel):
    name: str
    inner: Inner | None = None
    many: list[Inner] = Field([], title="Titled")
    choice: int | str | None = None


def test_generated_titles_and_nulls_go_and_names_stay() -> None:
    short = slim(Outer.model_json_schema())
    text = json.dumps(short)
    assert "null" not in text
    assert "Titled" not in text
    assert short["properties"]["inner"] == {"$ref": "#/$defs/Inner"}
    assert set(short["$defs"]["Inner"]["properties"]) == {"title", "at"}
    assert short["properties"]["choice"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}


INNERS = st.builds(Inner, title=st.text(max_size=3), at=st.none() | st.integers())
OUTERS = st.builds(
    Outer,
    name=st.text(max_size=3),
    inner=st.none() | INNERS,
    many=st.lists(INNERS, max_size=2),
    choice=st.none() | st.integers() | st.text(max_size=3),
)


@given(OUTERS)
def test_what_is_dumped_without_nulls_fits_the_slim_schema(value: Outer) -> None:
    jsonschema.validate(value.model_dump(mode="json", exclude_none=True), slim(Outer.model_json_schema()))


@given(st.dictionaries(st.sampled_from(["name", "inner", "many", "choice"]), st.none() | st.integers() | st.text()))
def test_the_slim_schema_takes_nothing_that_the_full_one_does_not(value: dict[str, Any]) -> None:
    if _fits(value, slim(Outer.model_json_schema())):
        assert _fits(value, Outer.model_json_schema())


def _fits(value: object, schema: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(value)


async def test_the_list_stays_within_its_budget() -> None:
    tools = await build(FakeApp()).list_tools()
    sizes = [len(tool.model_dump_json(by_alias=True, exclude_none=True)) for tool in tools]
    assert len(tools) <= 12
    assert sum(sizes) / len(sizes) <= 1000  # twelve of them: 12 KB


async def test_every_tool_says_what_it_takes_answers_and_does() -> None:
    for tool in await build(FakeApp()).list_tools():
        assert tool.description
        assert len(tool.description) <= 160
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema is not None
        assert set(tool.output_schema["required"]) == {"state", "report_markdown"}
        hints = tool.annotations
        assert hints is not None
        assert hints.read_only_hint is (tool.name in ("status", "report", "releases"))
        assert hints.destructive_hint is (None if hints.read_only_hint else True)


@pytest.mark.parametrize("word", ["approve", "shell", "exec", "policy", "kubectl", "auto_approve", "skip"])
async def test_no_tool_and_no_argument_undoes_the_gate(word: str) -> None:
    tools = await build(FakeApp()).list_tools()
    names = [tool.name for tool in tools] + [name for tool in tools for name in tool.input_schema["properties"]]
    assert not [name for name in names if word in name]
