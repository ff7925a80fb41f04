"""PromQL against results worked out by hand, and everything that must be refused when a plan is made."""

import math

import pytest

from soc_deploy_mcp.core.metrics import BadQuery, Unsupported
from soc_deploy_mcp.tools.metrics.promql import Engine
from soc_deploy_mcp.tools.metrics.store import Store
from tests.tools.metrics.build import START_MS, history, line, scrape


def number(store: Store, expr: str, after_ms: int, *, left_open: bool = True) -> float | None:
    found = Engine(store, left_open=left_open).query(expr, START_MS + after_ms)
    assert len(found) <= 1
    return found[0].value if found else None


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-12)


def test_increase_reaches_both_edges_of_its_window() -> None:
    store = history([10, 12, 14, 16, 18, 20])  # 2 a second, sampled at 0..5 s
    # (1 s, 5 s]: samples at 2..5 s, 6 in 3 s; 1 s to the start, 0 s to the end: 6 * 4/3
    assert number(store, "increase(x[4s])", 5000) == close(8)
    assert number(store, "rate(x[4s])", 5000) == close(2)
    # [1 s, 5 s]: samples at 1..5 s, nothing to extrapolate
    assert number(store, "increase(x[4s])", 5000, left_open=False) == close(8)
    # 0.5 s past the last sample: extrapolated by it
    assert number(store, "increase(x[3s])", 5500) == close(4 * (2 + 0.5 + 0.5) / 2)


def test_increase_stops_where_the_counter_would_be_zero() -> None:
    store = history([None, None, 1, 3, 5])
    # samples 1, 3, 5 at 2..4 s; zero would be 0.5 s before the first
    assert number(store, "increase(x[4s])", 4000) == close(4 * (2 + 0.5) / 2)


def test_a_gap_is_bridged_by_half_a_spacing_at_most() -> None:
    store = history([None] * 6 + [100, 101, 102, 103])
    # samples at 6..9 s in (0 s, 9 s]: 6 s to the start is more than 1.1 s, so half a second
    assert number(store, "increase(x[9s])", 9000) == close(3 * (3 + 0.5) / 3)


def test_zero_limits_after_the_gap_rule_in_prometheus_3_and_before_it_in_2() -> None:
    store = history([None] * 6 + [8, 18, 28, 38])
    # samples at 6..9 s in a window from 0 s; zero would be 0.8 s before the first
    assert number(store, "increase(x[9s])", 9000) == close(30 * (3 + 0.5) / 3)
    assert number(store, "increase(x[9s])", 9000, left_open=False) == close(30 * (3 + 0.8) / 3)


def test_a_reset_is_added_back_and_counted() -> None:
    store = history([5, 8, 1, 4])
    # (0 s, 3 s]: 8, 1, 4 and a reset: 1 + 3 = 4 in 2 s; 1 s to the start, zero is further away
    assert number(store, "increase(x[3s])", 3000) == close(4 * 3 / 2)
    assert number(store, "resets(x[4s])", 3000) == 1
    assert number(store, "changes(x[4s])", 3000) == 3
    assert number(store, "irate(x[4s])", 3000) == 3
    assert number(store, "delta(x[3s])", 3000) == close(-4 * 3 / 2)


def test_one_sample_has_no_rate() -> None:
    assert number(history([1]), "rate(x[10s])", 0) is None
    assert number(history([1]), "irate(x[10s])", 0) is None
    assert number(history([1]), "count_over_time(x[10s])", 0) == 1


def test_functions_over_time() -> None:
    store = history([4, math.nan, 1, 3])
    assert number(store, "max_over_time(x[10s])", 3000) == 4
    assert number(store, "min_over_time(x[10s])", 3000) == 1
    assert number(store, "last_over_time(x[10s])", 3000) == 3
    assert math.isnan(number(store, "avg_over_time(x[10s])", 3000) or 0)
    assert number(store, "sum_over_time(x[2s])", 3000) == 4
    assert number(store, "stddev_over_time(x[2s])", 3000) == 1
    assert number(store, "quantile_over_time(0.25, x[2s])", 3000) == 1.5


def test_a_window_is_open_on_the_left_in_prometheus_3_and_closed_in_2() -> None:
    store = history([1, 2, 3])
    assert number(store, "count_over_time(x[2s])", 2000) == 2
    assert number(store, "count_over_time(x[2s])", 2000, left_open=False) == 3


def test_an_old_value_answers_for_five_minutes_and_not_longer() -> None:
    store = history([7])
    assert number(store, "x", 299_999) == 7
    assert number(store, "x", 300_000) is None
    assert number(store, "x", 300_000, left_open=False) == 7
    assert number(store, "x offset 1m", 300_000) == 7
    assert number(store, "x offset -1m", -60_000) == 7


def test_what_ended_answers_no_more() -> None:
    store = history([7, None])
    assert number(store, "x", 1000) is None
    assert number(store, "last_over_time(x[5s])", 1000) == 7


def arms() -> Store:
    store = Store()
    for i in (0, 1):
        scrape(
            store,
            START_MS + i * 1000,
            line("rq", 90 * i, arm="old", code="2"),
            line("rq", 10 * i, arm="old", code="5"),
            line("rq", 40 * i, arm="new", code="2"),
            line("cpu", 0.5 + i, arm="old"),
            line("cpu", 0.1 + i, arm="new"),
            line("mem", 7, arm="new"),
        )
    return store


def vector(expr: str, *labels: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(s.labels.get(label, "") for label in labels): s.value for s in Engine(arms()).query(expr, START_MS + 1000)
    }


def test_aggregation_by_and_without() -> None:
    assert vector("sum(rq)") == {(): 140}
    assert vector("sum by (arm) (rq)", "arm") == {("old",): 100, ("new",): 40}
    assert vector("count without (code, instance) (rq)", "arm", "__name__") == {("old", ""): 2, ("new", ""): 1}
    assert vector("avg(cpu)") == {(): pytest.approx(1.3)}
    assert vector("max(cpu) - min(cpu)") == {(): pytest.approx(0.4)}


def test_matchers_take_the_whole_value_and_a_missing_label_is_empty() -> None:
    assert vector('rq{arm=~"o.*",code!="5"}', "arm", "code") == {("old", "2"): 90}
    assert vector('rq{arm=~"ol"}') == {}
    assert vector('sum(rq{nope=""})') == {(): 140}
    assert vector('sum({__name__=~"r.",arm!~"n.*|x"})') == {(): 100}


def test_sides_are_matched_by_their_labels() -> None:
    ratio = 'sum by (arm) (rq{code="5"}) / sum by (arm) (rq)'
    assert vector(ratio, "arm") == {("old",): 0.1}
    assert vector('rq{code="5"} / ignoring(code) rq{code="2"}', "arm", "code") == {("old", ""): pytest.approx(1 / 9)}
    assert vector("cpu * on(arm) sum by (arm) (rq)", "arm", "instance") == {("old", ""): 150, ("new", ""): 44}
    assert vector("cpu > 1.2", "arm", "__name__") == {("old", "cpu"): 1.5}
    assert vector("cpu > bool 1.2", "arm", "__name__") == {("old", ""): 1, ("new", ""): 0}
    assert vector("1.2 < cpu", "arm") == {("old",): 1.5}


def test_division_by_zero_and_of_zero_are_no_numbers() -> None:
    assert vector("vector(1) / 0") == {(): math.inf}
    assert vector("vector(-1) / 0") == {(): -math.inf}
    assert math.isnan(vector("vector(0) / 0")[()])
    assert math.isnan(vector("vector(5) % 0")[()])
    assert vector("vector(0) ^ -1") == {(): math.inf}
    assert math.isnan(vector("vector(-8) ^ 0.5")[()])


def test_more_than_one_partner_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(BadQuery, match="on the left of / match"):
        vector("rq / on(arm) cpu")
    with pytest.raises(BadQuery, match="on the right of / match"):
        vector("cpu / on(arm) rq")
    assert vector("nothing / on(arm) rq") == {}
    with pytest.raises(BadQuery, match="same labels"):
        vector('abs({__name__=~"cpu|mem"})')


def test_scalars_vectors_and_time() -> None:
    assert vector("time()") == {(): START_MS / 1000 + 1}
    assert vector("time() - scalar(timestamp(rq{code='5'}))") == {(): 0}
    assert vector("vector(scalar(sum(rq)) + 2 * 3)") == {(): 146}
    assert math.isnan(vector("scalar(rq)")[()])
    assert vector("clamp(rq, 20, 80)", "arm", "code") == {("old", "2"): 80, ("old", "5"): 20, ("new", "2"): 40}
    assert vector("clamp(rq, 80, 20)") == {}
    assert vector("clamp_min(abs(-rq{code='5'}), 11)") == {(): 11}


def test_the_timestamp_of_a_selector_is_that_of_its_sample() -> None:
    store = history([7])
    assert number(store, "timestamp(x)", 2500) == START_MS / 1000
    assert number(store, "timestamp((x))", 2500) == START_MS / 1000
    assert number(store, "timestamp(x + 0)", 2500) == START_MS / 1000 + 2.5


def histogram(**buckets: float) -> Store:
    store = Store()
    lines = [line("took_bucket", count, le=bound.strip("_").replace("Inf", "+Inf")) for bound, count in buckets.items()]
    scrape(store, START_MS, *lines)
    return store


def test_quantiles_are_interpolated_inside_a_bucket() -> None:
    store = histogram(_10=50, _20=90, _Inf=100)
    assert number(store, "histogram_quantile(0.5, took_bucket)", 0) == 10
    assert number(store, "histogram_quantile(0.7, took_bucket)", 0) == close(15)
    assert number(store, "histogram_quantile(0.95, took_bucket)", 0) == 20  # the last bound that is a number
    assert number(store, "histogram_quantile(1.1, took_bucket)", 0) == math.inf
    uneven = histogram(_10=50, _20=40, _30=60, _Inf=100)  # buckets rated one by one: taken as 50, 50, 60, 100
    assert number(uneven, "histogram_quantile(0.55, took_bucket)", 0) == close(25)
    assert math.isnan(number(histogram(_0=0, _Inf=0), "histogram_quantile(0.5, took_bucket)", 0) or 0)


@pytest.mark.parametrize(
    "store", [histogram(_10=1, _20=2), histogram(_Inf=2), histogram(_10=0, _Inf=0), histogram(_10=1, _Inf=math.nan)]
)
def test_a_histogram_that_is_not_whole_has_no_quantile(store: Store) -> None:
    assert math.isnan(number(store, "histogram_quantile(0.5, took_bucket)", 0) or 0)


def test_a_result_is_as_old_as_the_oldest_sample_in_it() -> None:
    store = Store()
    scrape(store, START_MS, line("x", 1), name="a")
    scrape(store, START_MS + 2000, line("x", 1), name="b")
    for expr in ("sum(x)", "sum(x) * 2", "avg(x) / on() max(x)", "-sum(x)"):
        (sample,) = Engine(store).query(expr, START_MS + 5000)
        assert sample.at == START_MS / 1000, expr
    for expr in ('sum(x{instance="b"}) + sum(x)', 'sum(x) + sum(x{instance="b"})'):
        (sample,) = Engine(store).query(expr, START_MS + 5000)
        assert sample.at == START_MS / 1000, expr
    (sample,) = Engine(history([1, 2, 3])).query("rate(x[5s])", START_MS + 4000)
    assert sample.at == START_MS / 1000 + 2


def test_raw_reading_takes_plain_selectors_only() -> None:
    engine = Engine(history([7]))
    (found,) = engine.select('x{instance="router"}', START_MS + 2000)
    assert (found.value, found.at) == (7, START_MS / 1000)
    for expr in ("sum(x)", "x[5m]", "1", "rate(x[5m])"):
        with pytest.raises(BadQuery):
            engine.select(expr, START_MS)


@pytest.mark.parametrize(
    ("expr", "column", "what"),
    [
        ("sum(x) + rate(x[5m:1m])", 16, "a subquery"),
        ("x[5m:1m]", 2, "a subquery"),
        ("max_over_time(rate(x[5m])[1h:])", 21, "a subquery"),
        ("x @ 5", 3, "@"),
        ("rate(x[5m] @ end())", 12, "@"),
        ("a + on(x) group_left(z) b", 11, "group_left"),
        ("a * ignoring(x) group_right b", 17, "group_right"),
        ("a and b", 3, "the operator and"),
        ("a or vector(0)", 3, "the operator or"),
        ("a unless b", 3, "the operator unless"),
        ("a atan2 b", 3, "the operator atan2"),
        ("topk(3, x)", 1, "the aggregation topk"),
        ("1 + stddev(x)", 5, "the aggregation stddev"),
        ("deriv(x[5m])", 1, "the function deriv"),
        ("2 * label_replace(x, 'a', '$1', 'b', '.*')", 5, "the function label_replace"),
        ("histogram_count(x)", 1, "the function histogram_count"),
        ('x{a="1" or b="2"}', 9, "or between matchers"),
        ("x / on(a) fill(0) y", 11, "fill"),
        (r'x{a=~"\\pL"}', 4, "the pattern"),
    ],
)
def test_what_is_not_supported_is_named_with_its_column(expr: str, column: int, what: str) -> None:
    with pytest.raises(Unsupported, match=f"column {column}: .*{what}"):
        Engine.check(expr)


@pytest.mark.parametrize(
    ("expr", "column", "what"),
    [
        ("sum(", 4, "unclosed left parenthesis"),
        ("sum(x))", 7, ""),
        ("rate(x[5m)", 10, ""),
        ("rate(x)", 1, "expected type"),
        ("1 + rate(x)", 5, "expected type"),
        ("sum(nosuch(x))", 5, "unknown function"),
        ("foo bar", 5, "invalid"),
        ("sum(rate(x[5m])) / / y", 18, "invalid"),
        ('"text"', 1, "no query"),
        ("x[5m]", 2, "a range"),
        ("", 1, ""),
        ("{}", 1, "non-empty"),
        ("(" * 2100 + "x" + ")" * 2100, None, "longer than"),
        ("(" * 900 + "x" + ")" * 900, None, "nested too deeply"),
        ("-" * 900 + "x", None, "nested too deeply"),
    ],
)
def test_what_does_not_parse_says_where(expr: str, column: int | None, what: str) -> None:
    where = "" if column is None else f"column {column}: "
    with pytest.raises(BadQuery, match=f"^{where}.*{what}"):
        Engine.check(expr)


@pytest.mark.parametrize(
    "expr",
    [
        "histogram_quantile(0.95, sum by (le) (rate(took_bucket[5m])))",
        "sum(rate(a[1m])) / sum(rate(b[1m])) > bool 0.5",
        'avg(queue_depth{version="$version"})',
        "(((x)))",
        "x # a comment (",
    ],
)
def test_good_queries_pass_the_check(expr: str) -> None:
    Engine.check(expr)
