"""Our evaluator against a real Prometheus on the same samples: the same values, to one part in 10^9."""

import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from soc_deploy_mcp.core.metrics import BadQuery
from soc_deploy_mcp.tools.metrics.promql import Engine
from soc_deploy_mcp.tools.metrics.store import Series, Store
from tests.tools.metrics import prometheus
from tests.tools.metrics.build import START_MS

SEED = 20
INSTANTS = [START_MS + t for t in (700, 9_999, 30_000, 61_234, 90_000, 119_950, 200_000, 399_999, 460_000)]

EXPRESSIONS = """
requests_total
requests_total{code=~"4..|500",job!="b"}
{__name__=~"requests.*",code!~"2.*"}
depth offset 10s
depth offset -5s
took_bucket{le="+Inf"}
requests_total{nope=""}
requests_total{nope!=""}
rate(requests_total[30s])
rate(requests_total[2s])
increase(requests_total{code="500"}[1m] offset 20s)
delta(depth[45s])
irate(requests_total[20s])
changes(depth[1m])
resets(requests_total[2m])
avg_over_time(depth[20s])
min_over_time(depth[50s])
max_over_time(depth[50s])
sum_over_time(depth[50s])
count_over_time(requests_total[50s])
last_over_time(depth[15s])
present_over_time(depth[15s])
stddev_over_time(depth[40s])
stdvar_over_time(depth[40s])
quantile_over_time(0.9, requests_total[1m])
quantile_over_time(1.5, requests_total[1m])
sum(requests_total)
sum by (code) (rate(requests_total[1m]))
avg without (replica) (depth)
min by (job) (depth)
max(depth)
count by (job, nope) (depth)
histogram_quantile(0.95, took_bucket)
histogram_quantile(0.95, sum by (le) (rate(took_bucket[1m])))
histogram_quantile(0.5, sum by (le, job) (increase(took_bucket[2m])))
histogram_quantile(-1, took_bucket)
histogram_quantile(2, took_bucket)
sum(rate(requests_total{code="500"}[1m])) / sum(rate(requests_total[1m]))
requests_total / on(job, code) requests_total
requests_total / ignoring(code) requests_total
sum by (job) (requests_total{code="500"}) / sum by (job) (requests_total)
depth > 10
depth > bool 10
10 < depth
depth == depth
depth != bool on(job, replica) depth
depth >= on(job, replica) depth
requests_total{code="200"} > ignoring(code) requests_total{code="404"}
depth % 3
depth ^ 0.5
depth / 0
-depth
-depth ^ 2
2 ^ 3 ^ 2
1 + 2 * 3 - 4 / 8 % 3
1 > bool 2
time()
time() - timestamp(depth)
timestamp(depth + 0)
timestamp((depth))
scalar(sum(depth))
scalar(depth)
vector(3)
vector(scalar(count(depth)))
abs(depth)
clamp(depth, 5, 12)
clamp(depth, 12, 5)
clamp_min(depth, 8)
clamp_max(depth, 8)
abs(-requests_total{code="200"})
rate({__name__=~"requests_total|depth"}[1m])
max_over_time(took_bucket{le="25"}[1m]) - min_over_time(took_bucket{le="25"}[1m])
""".strip().splitlines()


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[prometheus.Prometheus]:
    if (program := prometheus.binary()) is None:
        pytest.skip("no Prometheus: set SOC_PROMETHEUS_BIN, or put prometheus and promtool on the PATH")
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with prometheus.running(program, prometheus.recorded(SEED), folder) as running:
        yield running


@pytest.fixture(scope="module")
def ours(oracle: prometheus.Prometheus) -> Engine:
    store = Store()
    for key, samples in prometheus.recorded(SEED).items():
        for t_ms, value in samples:
            _series(store, key).add(t_ms, value)
    return Engine(store, left_open=oracle.major >= 3)


def _series(store: Store, key: prometheus.Key) -> Series:
    return store.series(key)


def _same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == b or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def _difference(expr: str, t_ms: int, ours: Engine, oracle: prometheus.Prometheus) -> str | None:
    theirs = oracle.query(expr, t_ms)
    try:
        mine = {frozenset(s.labels.items()): s.value for s in ours.query(expr, t_ms)}
    except BadQuery as error:
        return None if isinstance(theirs, str) else f"{expr} at {t_ms}: we refuse ({error}), Prometheus says {theirs}"
    if isinstance(theirs, str):
        return f"{expr} at {t_ms}: Prometheus refuses ({theirs}), we say {mine}"
    if mine.keys() != theirs.keys():
        return f"{expr} at {t_ms}: other series: ours {set(mine) - set(theirs)}, theirs {set(theirs) - set(mine)}"
    wrong = [(labels, mine[labels], theirs[labels]) for labels in mine if not _same(mine[labels], theirs[labels])]
    return f"{expr} at {t_ms}: {wrong}" if wrong else None


@pytest.mark.e2e
def test_every_supported_construct_gives_what_prometheus_gives(ours: Engine, oracle: prometheus.Prometheus) -> None:
    found = [d for expr in EXPRESSIONS for t in INSTANTS if (d := _difference(expr, t, ours, oracle))]
    assert not found, "\n".join(found[:10])


@pytest.mark.e2e
def test_random_expressions_give_what_prometheus_gives(ours: Engine, oracle: prometheus.Prometheus) -> None:
    rng = random.Random(SEED)
    drawn = [(_vector(rng, 3), rng.choice(INSTANTS)) for _ in range(1500)]
    found = [d for expr, t in drawn if (d := _difference(expr, t, ours, oracle))]
    assert not found, "\n".join(found[:10])


_NAMES = (("requests_total", ("job", "code")), ("depth", ("job", "replica")), ("took_bucket", ("job", "le")))
_VALUES = ("a", "b", "200", "1", ".*", "[0-4].*", "")
_OVER_TIME = (
    "rate increase delta irate changes resets avg_over_time min_over_time max_over_time sum_over_time count_over_time "
    "last_over_time present_over_time stddev_over_time"
)
_EACH = ("abs({})", "-({})", "clamp({}, 1, 9)", "clamp_min({}, 3)", "clamp_max({}, 3)", "timestamp({})")


def _selector(rng: random.Random) -> str:
    name, labels = rng.choice(_NAMES)
    matchers = [
        f'{rng.choice(labels)}{rng.choice(("=", "!=", "=~", "!~"))}"{rng.choice(_VALUES)}"'
        for _ in range(rng.choice((0, 0, 1, 2)))
    ]
    return f"{name}{{{','.join(matchers)}}}"


def _ranged(rng: random.Random, functions: str, selector: str) -> str:
    window, offset = rng.choice(("1s", "4s", "15s", "40s", "90s", "5m")), rng.choice(("", "", " offset 7s"))
    return f"{rng.choice(functions.split())}({selector}[{window}]{offset})"


def _scalar(rng: random.Random) -> str:
    return rng.choice(("0", "1", "-2.5", "0.3", "1e3", "time()", f"scalar(sum({_selector(rng)}))", "Inf"))


def _vector(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.15:
        return _selector(rng) + rng.choice(("", "", "", " offset 7s", " offset -3s"))
    match rng.randrange(6):
        case 0:
            return _ranged(rng, _OVER_TIME, _selector(rng))
        case 1:
            group = rng.choice(("", " by (job)", " by (job, code, le)", " without (code, replica)", " by ()"))
            return f"{rng.choice(('sum', 'avg', 'min', 'max', 'count'))}{group} ({_vector(rng, depth - 1)})"
        case 2:
            sides = [_vector(rng, depth - 1), _scalar(rng)]
            rng.shuffle(sides)
            return f"({sides[0]}) {rng.choice(('+', '-', '*', '/', '%', '^', '>', '<=', '== bool', '!='))} ({sides[1]})"
        case 3:
            sign = rng.choice(("+", "-", "*", "/", ">", "<= bool", "=="))
            matching = rng.choice(("", "", " on(job)", " ignoring(code, le, replica)", " on(job, code)"))
            return f"({_vector(rng, depth - 1)}) {sign}{matching} ({_vector(rng, depth - 1)})"
        case 4:
            return rng.choice(_EACH).format(_vector(rng, depth - 1))
        case _:
            # Only over buckets: of a histogram with NaN in it Prometheus gives the last bound, we give NaN.
            rated = _ranged(rng, "rate increase max_over_time", "took_bucket{}")
            inner = rng.choice((rated, f"sum by (le) ({rated})", "took_bucket offset 7s"))
            return f"histogram_quantile({rng.choice(('0.5', '0.95', '0.999'))}, {inner})"
