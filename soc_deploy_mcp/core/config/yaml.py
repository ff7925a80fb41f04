"""YAML with line numbers, read by the rules of YAML 1.2: `on`, `off`, `yes`, `no` are words and 16:00 is text.

PyYAML follows YAML 1.1, where `synthetic: off` is a boolean; only its scanner and composer are used here.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml

_PATTERNS: tuple[tuple[str, str, str], ...] = (  # tag, pattern, first characters (YAML 1.2.2, 10.3.2)
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("tag:yaml.org,2002:float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+0123456789."),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _tag, _pattern, _first in _PATTERNS:
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), [c if c != "\0" else "" for c in _first])

Path = tuple[str | int, ...]


class YamlError(Exception):
    """Not YAML, or YAML that cannot be a configuration. `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line, self.problem = line, problem


@dataclass(frozen=True)
class Document:
    """Plain data, and the line (from 1) of every key and item."""

    data: dict[str, Any]
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest parent that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(text: str) -> Document:
    """Parse a mapping. A duplicate key, an anchor loop or a second document is an error, never a guess."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines: dict[Path, int] = {}
        data = {} if node is None else _build(loader, node, (), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, error.problem or "not YAML") from None
    except yaml.YAMLError as error:
        raise YamlError(1, str(error).split("\n", maxsplit=1)[0]) from None
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise YamlError(1, "a mapping of keys is wanted at the top")
    return Document(data, lines)


def _build(loader: _Loader, node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    if len(path) > 20:
        raise YamlError(node.start_mark.line + 1, "nested too deeply")
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError(line, "a key must be a word")
            key = str(key_node.value)
            if key in result:
                raise YamlError(line, f"the key {key} stands twice")
            lines[(*path, key)] = line
            result[key] = _build(loader, value_node, (*path, key), lines)
        return result
    if isinstance(node, yaml.SequenceNode):
        items: list[Any] = []
        for index, item in enumerate(node.value):
            lines[(*path, index)] = item.start_mark.line + 1
            items.append(_build(loader, item, (*path, index), lines))
        return items
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    text, kind = str(node.value), node.tag.rpartition(":")[2]
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "str":
            return text
    raise YamlError(node.start_mark.line + 1, f"the tag {node.tag} is not used here")
