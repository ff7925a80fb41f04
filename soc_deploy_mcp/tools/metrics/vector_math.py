"""Arithmetic on vectors: operators, matching of two sides, aggregation, quantiles of histograms. Pure.

Semantics: Prometheus (https://prometheus.io/docs/prometheus/latest/querying/operators/, promql/engine.go, quantile.go).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from soc_deploy_mcp.core.metrics import BadQuery

NAME = "__name__"
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Element:
    """One series of a vector. `at_ms` is the age of its oldest sample: a sum is as old as its oldest part."""

    labels: Labels
    value: float
    at_ms: int


Vector = list[Element]
Identity = frozenset[tuple[str, str]]


def without(labels: Labels, *names: str) -> Labels:
    return {label: value for label, value in labels.items() if label not in names}


def only(labels: Labels, names: Iterable[str]) -> Labels:
    return {name: labels[name] for name in names if name in labels}


def identity(labels: Labels) -> Identity:
    return frozenset(labels.items())


def distinct(vector: Vector) -> Vector:
    """The vector; BadQuery when dropping names or labels made two series the same."""
    if len({identity(e.labels) for e in vector}) < len(vector):
        raise BadQuery("two series of the result have the same labels: match one metric, or aggregate")
    return vector


def divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


def modulo(a: float, b: float) -> float:
    try:
        return math.fmod(a, b)
    except ValueError:
        return math.nan


def power(a: float, b: float) -> float:
    odd = b % 2 == 1 if math.isfinite(b) else False
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and odd else math.inf
    except ValueError:  # a negative number to a fraction, or zero to a negative number
        if a != 0:
            return math.nan
        return math.copysign(math.inf, a) if odd else math.inf


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": divide,
    "%": modulo,
    "^": power,
}
COMPARISON: dict[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True, slots=True)
class Operator:
    """A binary operator. `as_bool`: a comparison that answers 1 or 0 instead of filtering."""

    sign: str
    as_bool: bool = False

    @property
    def drops_name(self) -> bool:
        return self.sign in ARITHMETIC or self.as_bool

    def apply(self, a: float, b: float) -> float | None:
        """The value; None: filtered out. A comparison that filters keeps the left value."""
        if self.sign in ARITHMETIC:
            return ARITHMETIC[self.sign](a, b)
        holds = COMPARISON[self.sign](a, b)
        if self.as_bool:
            return float(holds)
        return a if holds else None


@dataclass(frozen=True, slots=True)
class Matching:
    """Which labels of two sides must agree: only those of `on`, or all but those of `ignoring` (and the name)."""

    names: tuple[str, ...] = ()
    on: bool = False

    def signature(self, labels: Labels) -> Identity:
        return identity(only(labels, self.names) if self.on else without(labels, NAME, *self.names))

    def result(self, labels: Labels) -> Labels:
        return only(labels, self.names) if self.on else without(labels, *self.names)


def vector_with_scalar(operator: Operator, vector: Vector, scalar: float, *, scalar_left: bool) -> Vector:
    out = []
    for e in vector:
        value = operator.apply(scalar, e.value) if scalar_left else operator.apply(e.value, scalar)
        if value is None:
            continue
        if operator.drops_name:
            out.append(Element(without(e.labels, NAME), value, e.at_ms))
        else:
            out.append(e)
    return distinct(out) if operator.drops_name else out


def vector_with_vector(operator: Operator, matching: Matching, left: Vector, right: Vector) -> Vector:
    """One to one. BadQuery when a series has more than one partner."""
    if not left or not right:
        return []
    partners: dict[Identity, Element] = {}
    for e in right:
        if partners.setdefault(matching.signature(e.labels), e) is not e:
            raise BadQuery(f"two series on the right of {operator.sign} match the same one on the left")
    out: dict[Identity, Element] = {}
    for e in left:
        signature = matching.signature(e.labels)
        partner = partners.get(signature)
        value = None if partner is None else operator.apply(e.value, partner.value)
        if partner is None or value is None:
            continue
        if signature in out:
            raise BadQuery(f"two series on the left of {operator.sign} match the same one on the right")
        labels = without(e.labels, NAME) if operator.drops_name else e.labels
        out[signature] = Element(matching.result(labels), value, min(e.at_ms, partner.at_ms))
    return distinct(list(out.values()))


def smallest(values: Sequence[float]) -> float:
    """NaN only where there is nothing else."""
    return min((v for v in values if not math.isnan(v)), default=math.nan)


def largest(values: Sequence[float]) -> float:
    return max((v for v in values if not math.isnan(v)), default=math.nan)


AGGREGATION: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "avg": lambda values: sum(values) / len(values),
    "min": smallest,
    "max": largest,
    "count": lambda values: float(len(values)),
}


def aggregate(how: str, grouped: Callable[[Labels], Labels], vector: Vector) -> Vector:
    groups: dict[Identity, tuple[Labels, list[Element]]] = {}
    for e in vector:
        labels = grouped(e.labels)
        groups.setdefault(identity(labels), (labels, []))[1].append(e)
    return [
        Element(labels, AGGREGATION[how]([e.value for e in members]), min(e.at_ms for e in members))
        for labels, members in groups.values()
    ]


def histogram_quantile(q: float, vector: Vector) -> Vector:
    """The q-quantile of every classic histogram of the vector, by linear interpolation inside a bucket."""
    groups: dict[Identity, tuple[Labels, list[Element]]] = {}
    for e in vector:
        if bound(e.labels) is not None:
            labels = without(e.labels, NAME, "le")
            groups.setdefault(identity(labels), (labels, []))[1].append(e)
    return [
        Element(labels, bucket_quantile(q, buckets_of(members)), min(e.at_ms for e in members))
        for labels, members in groups.values()
    ]


def bound(labels: Labels) -> float | None:
    """The upper bound of a bucket; None when the series is no bucket."""
    try:
        return float(labels.get("le", ""))
    except ValueError:
        return None


def buckets_of(vector: Iterable[Element]) -> dict[float, float]:
    """Upper bound -> cumulative count; the same bound in two spellings is one bucket."""
    buckets: dict[float, float] = {}
    for e in vector:
        if (upper := bound(e.labels)) is not None:
            buckets[upper] = buckets.get(upper, 0.0) + e.value
    return buckets


def bucket_quantile(q: float, buckets: Mapping[float, float]) -> float:
    """From cumulative counts by upper bound. NaN without an Inf bucket, a finite one, or events, or with NaN."""
    if math.isnan(q):
        return math.nan
    if not 0 <= q <= 1:
        return math.copysign(math.inf, q)
    bounds = sorted(buckets)
    if len(bounds) < 2 or bounds[-1] != math.inf:
        return math.nan
    if any(math.isnan(count) for count in buckets.values()):
        return math.nan
    counts = _monotonic([buckets[b] for b in bounds])
    if counts[-1] == 0:
        return math.nan
    rank = q * counts[-1]
    i = next((i for i, count in enumerate(counts[:-1]) if count >= rank), len(counts) - 1)
    if i == len(counts) - 1:
        return bounds[-2]
    if i == 0 and bounds[0] <= 0:
        return bounds[0]
    lower, below = (bounds[i - 1], counts[i - 1]) if i else (0.0, 0.0)
    return lower + (bounds[i] - lower) * divide(rank - below, counts[i] - below)


def _monotonic(counts: Sequence[float]) -> list[float]:
    """Buckets are scraped at one moment but rated one by one: a bucket below its neighbour is raised to it."""
    highest = -math.inf
    return [highest := max(highest, count) for count in counts]
