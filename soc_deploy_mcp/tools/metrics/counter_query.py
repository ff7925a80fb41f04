"""Queries of a check's `bad` and `total`: sums of counters, nothing else.

The judge takes differences of raw counters itself. rate() and increase() extrapolate and give fractions, a ratio has no
number of requests behind it, and `or vector(0)` turns "no data" into "no failures".
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from soc_deploy_mcp.core.metrics import BadQuery
from soc_deploy_mcp.tools.metrics import position
from soc_deploy_mcp.tools.metrics.exposition import escaped
from soc_deploy_mcp.tools.metrics.selectors import kind, parse, selector_of

_SIGNS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}


@dataclass(frozen=True, slots=True)
class Term:
    """One plain selector and whether its counters are added (1) or taken away (-1)."""

    sign: int
    selector: str


def check_counter(expr: str) -> None:
    """Refuse what is no sum of counters. Raises BadQuery or Unsupported, with the column."""
    terms(expr)


def filled_in(expr: str, *, version: str, release: str) -> str:
    """The query of one arm: `$version` is its version (v2.1.0), `$release` its slug."""
    return expr.replace("$version", escaped(version)).replace("$release", escaped(release))


@lru_cache(maxsize=512)
def terms(expr: str) -> tuple[Term, ...]:
    """The selectors whose counters make up the sum. All series are summed, whatever `by` says."""
    try:
        return tuple(_terms(parse(expr), 1, expr))
    except RecursionError:
        raise BadQuery("the query is nested too deeply") from None


def _terms(node: Any, sign: int, expr: str) -> list[Term]:
    match kind(node):
        case "VectorSelector":
            return [Term(sign, _selector_text(node, expr))]
        case "ParenExpr":
            return _terms(node.expr, sign, expr)
        case "AggregateExpr" if str(node.op) == "sum":
            return _terms(node.expr, sign, expr)
        case "BinaryExpr" if str(node.op) in ("+", "-") and node.modifier is None:
            return _terms(node.lhs, sign, expr) + _terms(node.rhs, sign if str(node.op) == "+" else -sign, expr)
    raise _refusal(node, expr)


def _selector_text(node: Any, expr: str) -> str:
    if selector_of(node, expr).offset_ms:
        raise BadQuery(f"column {position.column_of(expr, 'offset')}: offset counts another time than the release's")
    inner = ",".join(f'{m.name}{_SIGNS[str(m.op)]}"{escaped(m.value)}"' for m in node.matchers.matchers)
    return f"{node.name or ''}{{{inner}}}"


def _refusal(node: Any, expr: str) -> BadQuery:
    match kind(node):
        case "Call":
            name = str(node.func.name)
            return _not_counts(expr, f"{name}()", "give the counter itself, differences are taken by the judge", name)
        case "BinaryExpr" if str(node.op) == "or":
            return _not_counts(expr, "or", "a series that is not there counts as 0 already, and no data must not", "or")
        case "BinaryExpr":
            return _not_counts(expr, str(node.op), "give two sums of counters, `bad` and `total`", str(node.op))
        case "AggregateExpr":
            return _not_counts(expr, str(node.op), "only sum() of counters is a count", str(node.op))
        case "NumberLiteral":
            return BadQuery("column 1: a constant is no count of events")
    return BadQuery("column 1: counts are needed: a counter, or a sum of counters")


def _not_counts(expr: str, what: str, advice: str, word: str) -> BadQuery:
    return BadQuery(f"column {position.column_of(expr, word)}: {what} gives no counts: {advice}")
