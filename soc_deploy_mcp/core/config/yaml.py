"""YAML with line numbers, read by the rules of YAML 1.2: `on`, `off`, `yes`, `no` are words and 16:00 is text.

PyYAML follows YAML 1.1, where `synthetic: off` is a boolean; only its scanner and composer are used here.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.reader import ReaderError

_PATTERNS: tuple[tuple[str, str, str], ...] = (  # tag, pattern, first characters (YAML 1.2.2, 10.3.2)
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),  # 0042 stays text: zeros would be lost
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$",
        "-+0123456789.",
    ),
)


_INT, _FLOAT = (re.compile(pattern) for tag, pattern, _ in _PATTERNS if tag.endswith(("int", "float")))

_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_KINDS = ("bool", "int", "float")

DEEPEST, MOST_NODES, LONGEST_NUMBER = 20, 20_000, 40


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
    """Plain data, the line (from 1) of every key and item, and how numbers and switches were spelled (`1.10`)."""

    data: dict[str, Any]
    lines: dict[Path, int]
    spelled: dict[Path, str]

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest parent that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(text: str) -> Document:
    """Parse a mapping. A duplicate key, an anchor loop or a second document is an error, never a guess."""
    builder = _Builder()
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        data = {} if node is None else builder.build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(filter(None, (error.context, error.problem)))
        raise YamlError(mark.line + 1 if mark else 1, problem or "not YAML") from None
    except ReaderError as error:
        raise YamlError(text.count("\n", 0, error.position) + 1, "a character that YAML does not allow") from None
    except RecursionError:
        raise YamlError(1, "nested too deeply") from None
    if not isinstance(data, dict):
        raise YamlError(1, "a mapping of keys is wanted at the top")
    return Document(data, builder.lines, builder.spelled)


class _Builder:
    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.spelled: dict[Path, str] = {}
        self.nodes = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        line = node.start_mark.line + 1
        self.nodes += 1
        if len(path) > DEEPEST:
            raise YamlError(line, "nested too deeply")
        if self.nodes > MOST_NODES:  # aliases of aliases grow without end
            raise YamlError(line, "the file is too large")
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
            raise YamlError(line, f"the tag {node.tag} is not used")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError(line, "a key must be a word")
            key = str(key_node.value)
            if key in result:
                raise YamlError(line, f"the key {key} stands twice")
            self.lines[(*path, key)] = line
            result[key] = self.build(value_node, (*path, key))
        return result

    def _item(self, node: yaml.Node, path: Path) -> Any:
        self.lines[path] = node.start_mark.line + 1
        return self.build(node, path)

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        text, kind = str(node.value), node.tag.rpartition(":")[2]
        if kind in _KINDS:
            self.spelled[path] = text
        match kind:
            case "null":
                return None
            case "bool" if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
                return text.lower() == "true"
            case "int" if len(text) <= LONGEST_NUMBER and _INT.fullmatch(text):
                return int(text)
            case "float" if len(text) <= LONGEST_NUMBER and _FLOAT.fullmatch(text):
                return float(text)
            case "str":
                return text
        named = f"{text[:20]!r} is no {kind} that can be used" if kind in _KINDS else f"the tag {node.tag} is not used"
        raise YamlError(node.start_mark.line + 1, named)
