"""Which series a query's selector means, and the parser's tree it comes from."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from soc_deploy_mcp.core.metrics import BadQuery, Unsupported
from soc_deploy_mcp.tools.metrics import position
from soc_deploy_mcp.tools.metrics.vector_math import NAME, Labels

MAX_LENGTH = 2_000  # the parser and its tree recurse: deeper nesting than this allows would overflow its stack


@lru_cache(maxsize=512)
def parse(expr: str) -> Any:
    """The parser's tree. BadQuery says at which column the text stops making sense."""
    import promql_parser

    if len(expr) > MAX_LENGTH:
        raise BadQuery(f"the query is longer than {MAX_LENGTH:,} characters")
    try:
        return promql_parser.parse(expr)
    except ValueError as error:
        column = position.column_of_failure(expr, str(error), _parses)
        raise BadQuery(f"column {column}: {error}") from None


def _parses(expr: str) -> bool:
    import promql_parser

    try:
        promql_parser.parse(expr)
    except ValueError:
        return False
    return True


def kind(node: Any) -> str:
    """The name of a node's class, by which the parser's tree is told apart."""
    return type(node).__name__


def unsupported(expr: str, what: str, *words: str) -> Unsupported:
    """The error that names what is not supported, and the column of the first of `words`."""
    return Unsupported(f"column {position.column_of(expr, *words)}: {what} is not supported")


@dataclass(frozen=True, slots=True)
class Selector:
    name: str | None  # None: any
    keep: Callable[[Labels], bool]
    offset_ms: int


@lru_cache(maxsize=512)
def plain_selector(expr: str) -> Selector:
    """The selector that a text is. BadQuery when it is more or less than one."""
    tree = parse(expr)
    if kind(tree) != "VectorSelector":
        raise BadQuery(f'a plain selector such as requests_total{{code="500"}} is wanted, not {expr!r}')
    return selector_of(tree, expr)


def selector_of(node: Any, expr: str) -> Selector:
    """A node of the tree as a Selector. Raises Unsupported for @ and for `or` between matchers."""
    if node.at is not None:
        raise unsupported(expr, "@", "@")
    if node.matchers.or_matchers:
        raise unsupported(expr, "or between matchers", "or")
    name = node.name
    tests: list[Callable[[Labels], bool]] = []
    for matcher in node.matchers.matchers:
        if matcher.name == NAME and str(matcher.op) == "MatchOp.Equal" and name is None:
            name = matcher.value
        else:
            tests.append(_test(matcher, expr))
    return Selector(name, lambda labels: all(test(labels) for test in tests), milliseconds(node.offset))


def milliseconds(duration: timedelta | None) -> int:
    return 0 if duration is None else round(duration.total_seconds() * 1000)


def _test(matcher: Any, expr: str) -> Callable[[Labels], bool]:
    """A label that is not there is the empty text; patterns match the whole value."""
    label, wanted = matcher.name, matcher.value
    match str(matcher.op):
        case "MatchOp.Equal":
            return lambda labels: labels.get(label, "") == wanted
        case "MatchOp.NotEqual":
            return lambda labels: labels.get(label, "") != wanted
        case "MatchOp.Re":
            pattern = _pattern(wanted, expr)
            return lambda labels: pattern.fullmatch(labels.get(label, "")) is not None
        case "MatchOp.NotRe":
            pattern = _pattern(wanted, expr)
            return lambda labels: pattern.fullmatch(labels.get(label, "")) is None
        case other:
            raise unsupported(expr, other)


def _pattern(pattern: str, expr: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error as error:
        raise unsupported(expr, f"the pattern {pattern!r} ({error})", "=~", "!~") from None
