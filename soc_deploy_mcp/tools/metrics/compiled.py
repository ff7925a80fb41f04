"""Queries compiled to functions of a moment. What cannot be evaluated is refused here, when a plan is made, and never
at minute twelve of a rollout. Nothing is guessed: what is not here raises Unsupported and names the node.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from soc_deploy_mcp.core.metrics import BadQuery, Unsupported
from soc_deploy_mcp.tools.metrics import position, range_functions
from soc_deploy_mcp.tools.metrics.range_functions import RangeFunction, Window
from soc_deploy_mcp.tools.metrics.selectors import Selector, kind, milliseconds, parse, selector_of, unsupported
from soc_deploy_mcp.tools.metrics.store import Series, Store
from soc_deploy_mcp.tools.metrics.vector_math import (
    AGGREGATION,
    ARITHMETIC,
    COMPARISON,
    NAME,
    Element,
    Labels,
    Matching,
    Operator,
    Vector,
    aggregate,
    distinct,
    histogram_quantile,
    only,
    vector_with_scalar,
    vector_with_vector,
    without,
)

MAX_DEPTH = 100  # of nested expressions: evaluating one must never run out of stack


@dataclass(frozen=True, slots=True)
class Moment:
    """What a compiled query is evaluated against."""

    store: Store
    t_ms: int
    left_open: bool
    lookback_ms: int


@dataclass(frozen=True, slots=True)
class Scalar:
    of: Callable[[Moment], float]


@dataclass(frozen=True, slots=True)
class Instant:
    of: Callable[[Moment], Vector]


Compiled = Scalar | Instant


@lru_cache(maxsize=512)
def compiled_query(expr: str) -> Compiled:
    """The query as functions. Raises BadQuery or Unsupported, with the column."""
    return _Compiler(expr).compile(parse(expr))


def selected(selector: Selector) -> Callable[[Moment], Vector]:
    def of(moment: Moment) -> Vector:
        t_ms = moment.t_ms - selector.offset_ms
        oldest = t_ms - moment.lookback_ms + moment.left_open
        return [
            Element(series.labels, found[1], found[0])
            for series in moment.store.select(selector.name, selector.keep)
            if (found := series.at(t_ms, oldest)) is not None
        ]

    return of


def _over_window(selector: Selector, range_ms: int, function: RangeFunction, keeps_name: bool) -> Instant:
    def of(moment: Moment) -> Vector:
        end = moment.t_ms - selector.offset_ms
        out = []
        for series in moment.store.select(selector.name, selector.keep):
            if (window := _window(series, end - range_ms, end, moment.left_open)) is None:
                continue
            if (value := function(window)) is not None:
                labels = series.labels if keeps_name else without(series.labels, NAME)
                out.append(Element(labels, value, window.times[-1]))
        return distinct(out)

    return Instant(of)


def _window(series: Series, start_ms: int, end_ms: int, left_open: bool) -> Window | None:
    times, values = series.window(start_ms + left_open, end_ms)
    return Window(times, values, start_ms, end_ms, zero_cap_first=not left_open) if times else None


class _Compiler:
    """Turns the parser's tree into functions. One for each query, so that errors can point into its text."""

    def __init__(self, expr: str) -> None:
        self._expr, self._depth = expr, 0

    def compile(self, node: Any) -> Compiled:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise BadQuery("the query is nested too deeply")
        try:
            return self._compile(node)
        finally:
            self._depth -= 1

    def _compile(self, node: Any) -> Compiled:
        match kind(node):
            case "NumberLiteral":
                number = float(node.val)
                return Scalar(lambda _moment: number)
            case "ParenExpr":
                return self.compile(node.expr)
            case "UnaryExpr":
                return self._negated(self.compile(node.expr))
            case "VectorSelector":
                return Instant(selected(selector_of(node, self._expr)))
            case "Call":
                return self._call(node)
            case "AggregateExpr":
                return self._aggregation(node)
            case "BinaryExpr":
                return self._binary(node)
            case "SubqueryExpr":
                raise self._unsupported("a subquery", "[")
            case "MatrixSelector":
                raise BadQuery(
                    f"column {position.column_of(self._expr, '[')}: a range stands where one moment is wanted"
                )
            case "StringLiteral":
                raise BadQuery("column 1: a text is no query")
            case other:
                raise self._unsupported(other)

    def _negated(self, inner: Compiled) -> Compiled:
        if isinstance(inner, Scalar):
            scalar = inner.of
            return Scalar(lambda moment: -scalar(moment))
        vector = inner.of
        return Instant(
            lambda moment: distinct([Element(without(e.labels, NAME), -e.value, e.at_ms) for e in vector(moment)])
        )

    def _call(self, node: Any) -> Compiled:
        name, args = str(node.func.name), [_unwrapped(arg) for arg in node.args]
        if name in range_functions.FUNCTIONS:
            keeps = name in range_functions.KEEP_THE_NAME
            return _over_window(*self._range(args[0]), range_functions.FUNCTIONS[name], keeps)
        if name == "quantile_over_time":
            return self._quantile_over_time(self._scalar(args[0]), args[1])
        if name == "timestamp":
            return self._timestamp(args[0])
        if name in ("time", "scalar", "vector", "histogram_quantile"):
            return self._special(name, args)
        if name in ("abs", "clamp", "clamp_min", "clamp_max"):
            return self._each(name, args)
        raise self._unsupported(f"the function {name}", name)

    def _special(self, name: str, args: list[Any]) -> Compiled:
        if name == "time":
            return Scalar(lambda moment: moment.t_ms / 1000)
        if name == "scalar":
            of = self._vector(args[0])
            return Scalar(lambda moment: found[0].value if len(found := of(moment)) == 1 else math.nan)
        number = self._scalar(args[0])
        if name == "vector":
            return Instant(lambda moment: [Element({}, number(moment), moment.t_ms)])
        buckets = self._vector(args[1])
        return Instant(lambda moment: histogram_quantile(number(moment), buckets(moment)))

    def _each(self, name: str, args: list[Any]) -> Compiled:
        """Functions of every value by itself; abs(v), clamp(v, low, high), clamp_min(v, low), clamp_max(v, high)."""
        vector, limits = self._vector(args[0]), [self._scalar(arg) for arg in args[1:]]

        def of(moment: Moment) -> Vector:
            low, high = -math.inf, math.inf
            if name in ("clamp", "clamp_min"):
                low = limits[0](moment)
            if name in ("clamp", "clamp_max"):
                high = limits[-1](moment)
            if low > high:
                return []
            each = abs if name == "abs" else lambda value: _clamped(value, low, high)
            return distinct([Element(without(e.labels, NAME), each(e.value), e.at_ms) for e in vector(moment)])

        return Instant(of)

    def _timestamp(self, arg: Any) -> Compiled:
        """Of a selector: when the samples were taken. Of anything else: now."""
        vector, plain = self._vector(arg), kind(arg) == "VectorSelector"

        def of(moment: Moment) -> Vector:
            return distinct(
                [
                    Element(without(e.labels, NAME), (e.at_ms if plain else moment.t_ms) / 1000, e.at_ms)
                    for e in vector(moment)
                ]
            )

        return Instant(of)

    def _quantile_over_time(self, q: Callable[[Moment], float], matrix: Any) -> Compiled:
        selector, range_ms = self._range(matrix)

        def of(moment: Moment) -> Vector:
            at = q(moment)
            return _over_window(
                selector, range_ms, lambda window: range_functions.quantile(at, window.values), keeps_name=False
            ).of(moment)

        return Instant(of)

    def _aggregation(self, node: Any) -> Compiled:
        how = str(node.op)
        if how not in AGGREGATION:
            raise self._unsupported(f"the aggregation {how}", how)
        vector, grouped = self._vector(node.expr), _grouping(node.modifier)
        return Instant(lambda moment: aggregate(how, grouped, vector(moment)))

    def _binary(self, node: Any) -> Compiled:
        sign = str(node.op)
        if sign not in ARITHMETIC and sign not in COMPARISON:
            raise self._unsupported(f"the operator {sign}", sign)
        left, right = self.compile(node.lhs), self.compile(node.rhs)
        operator = Operator(sign, bool(node.modifier and node.modifier.return_bool))
        match left, right:
            case Scalar(), Scalar():
                return Scalar(lambda moment: _scalars(operator, left.of(moment), right.of(moment)))
            case Instant(), Scalar():
                return Instant(
                    lambda moment: vector_with_scalar(operator, left.of(moment), right.of(moment), scalar_left=False)
                )
            case Scalar(), Instant():
                return Instant(
                    lambda moment: vector_with_scalar(operator, right.of(moment), left.of(moment), scalar_left=True)
                )
            case Instant(), Instant():
                matching = self._matching(node.modifier)
                return Instant(lambda moment: vector_with_vector(operator, matching, left.of(moment), right.of(moment)))
        raise AssertionError("two kinds of value")

    def _matching(self, modifier: Any) -> Matching:
        if modifier is None:
            return Matching()
        if modifier.group_labels is not None or str(modifier.card) != "VectorMatchCardinality.OneToOne":
            raise self._unsupported("group_left or group_right", "group_left", "group_right")
        if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
            raise self._unsupported("fill", "fill", "fill_left", "fill_right")
        if modifier.matching is None:
            return Matching()
        return Matching(tuple(modifier.matching.labels), on=str(modifier.matching.type).endswith("Include"))

    def _vector(self, node: Any) -> Callable[[Moment], Vector]:
        compiled = self.compile(node)
        if isinstance(compiled, Scalar):
            raise BadQuery(f"column 1: a vector is wanted in {self._expr!r}")
        return compiled.of

    def _scalar(self, node: Any) -> Callable[[Moment], float]:
        compiled = self.compile(node)
        if isinstance(compiled, Instant):
            raise BadQuery(f"column 1: a number is wanted in {self._expr!r}")
        return compiled.of

    def _range(self, node: Any) -> tuple[Selector, int]:
        if kind(node) != "MatrixSelector":
            raise self._unsupported("a subquery", "[")
        return selector_of(node.vector_selector, self._expr), milliseconds(node.range)

    def _unsupported(self, what: str, *words: str) -> Unsupported:
        return unsupported(self._expr, what, *words)


def _scalars(operator: Operator, a: float, b: float) -> float:
    value = operator.apply(a, b)
    return math.nan if value is None else value


def _clamped(value: float, low: float, high: float) -> float:
    return math.nan if any(map(math.isnan, (value, low, high))) else max(low, min(high, value))


def _unwrapped(node: Any) -> Any:
    while kind(node) == "ParenExpr":
        node = node.expr
    return node


def _grouping(modifier: Any) -> Callable[[Labels], Labels]:
    if modifier is None:
        return lambda _labels: {}
    names = tuple(modifier.labels)
    if str(modifier.type).endswith("By"):
        return lambda labels: only(labels, names)
    return lambda labels: without(labels, NAME, *names)
