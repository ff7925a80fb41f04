"""`bad` and `total` of a check are sums of counters, or they are refused when the plan is made."""

import pytest

from soc_deploy_mcp.core.metrics import BadQuery
from soc_deploy_mcp.tools.metrics.counter_query import Term, check_counter, filled_in, terms
from soc_deploy_mcp.tools.metrics.selectors import plain_selector


@pytest.mark.parametrize(
    ("expr", "wanted"),
    [
        ("a_total", [(1, "a_total{}")]),
        ('sum(a_total{version="$version"})', [(1, 'a_total{version="$version"}')]),
        ('(sum by (x) (a{b=~"c|d",e!="f",g!~"h"}))', [(1, 'a{b=~"c|d",e!="f",g!~"h"}')]),
        ("sum(a) + b", [(1, "a{}"), (1, "b{}")]),
        (
            "sum(all_total) - (sum(good_total) - sum(odd_total))",
            [(1, "all_total{}"), (-1, "good_total{}"), (1, "odd_total{}")],
        ),
        ('took_bucket{le="+Inf"}', [(1, 'took_bucket{le="+Inf"}')]),
        ('{__name__=~"a|b"}', [(1, '{__name__=~"a|b"}')]),
    ],
)
def test_sums_of_counters_are_taken_apart(expr: str, wanted: list[tuple[int, str]]) -> None:
    assert terms(expr) == tuple(Term(sign, selector) for sign, selector in wanted)


def test_a_selector_survives_being_written_out_again() -> None:
    (term,) = terms(r'a{b="x \" \\ \n y"}')
    assert plain_selector(term.selector).keep({"b": 'x " \\ \n y'})


@pytest.mark.parametrize(
    ("expr", "column", "what"),
    [
        ("sum(rate(a[5m]))", 5, r"rate\(\) gives no counts"),
        ("increase(a[5m])", 1, r"increase\(\) gives no counts"),
        ("a / b", 3, "/ gives no counts"),
        ("sum(a) * 2", 8, r"\* gives no counts"),
        ("sum(a) or vector(0)", 8, "or gives no counts"),
        ("sum(a) or on() vector(0)", 8, "or gives no counts"),
        ("a or 0 * b", 3, "or gives no counts"),
        ("avg(a)", 1, "avg gives no counts"),
        ("count(a)", 1, "count gives no counts"),
        ("vector(0)", 1, r"vector\(\) gives no counts"),
        ("0", 1, "a constant"),
        ("sum(a) + 0", 1, "a constant"),
        ("a > 5", 3, "> gives no counts"),
        ("-a", 1, "counts are needed"),
        ("a + ignoring(x) b", 3, r"\+ gives no counts"),
        ("sum(a offset 5m)", 7, "offset"),
        ("sum(a @ 5)", 7, "@"),
        ("sum(a", 4, "unclosed"),
        ("a[5m]", 1, "counts are needed"),
    ],
)
def test_anything_else_is_refused_with_its_column(expr: str, column: int, what: str) -> None:
    with pytest.raises(BadQuery, match=f"column {column}: .*{what}"):
        check_counter(expr)


def test_an_arm_fills_in_its_version_and_release() -> None:
    expr = 'a{v="$version",r="$release"}'
    assert filled_in(expr, version="v2.1.0", release="v2_1_0-bb") == 'a{v="v2.1.0",r="v2_1_0-bb"}'
    (term,) = terms(filled_in(expr, version='x"} or vector(1) or a{b="', release="r"))
    assert plain_selector(term.selector).keep({"v": 'x"} or vector(1) or a{b="', "r": "r"})
