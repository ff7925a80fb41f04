"""Puts the judge's measured figures into docs/judge.md: python -m bench._judge_page [RESULT …]

Reads what bench/judge.py wrote: `judge`, or several such as `judge-part judge-quick`, of which the first one that
answers a question counts. Every figure stands with its number of rollouts; a row that none answers says so.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._judge_figures import wilson
from bench._report import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "judge.md"
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->\n"
OPEN = "not run yet"


class Results:
    """The files of `bench.judge`, by question and figure."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.figures: dict[str, float | None] = {}
        self.intervals: dict[str, tuple[float, float | None]] = {}
        self.runs: dict[str, int] = {}
        self.conditions: dict[str, Any] = {}
        for file in reversed(files):
            read: dict[str, Any] = json.loads(file.read_text())
            self.conditions = read["conditions"]
            self.figures |= read["figures"]
            self.intervals |= self.conditions["intervals"]
            self.runs |= self.conditions["runs"]

    def share(self, question: str, name: str) -> str:
        share, runs = self.figures[f"{question}: {name}"], self.runs[question]
        assert share is not None
        low, high = wilson(round(share * runs), runs)
        return f"{_percent(share)} ({_percent(low)} to {_percent(high)}; {runs:,})"

    def together(self, name: str, *questions: str) -> str:
        """Hits of many questions: all of them, and the worst one."""
        hits = {q: round((self.figures[f"{q}: {name}"] or 0.0) * self.runs[q]) for q in questions}
        runs = sum(self.runs[q] for q in questions)
        worst = max(questions, key=lambda q: hits[q] / self.runs[q])
        said = f"{sum(hits.values())} of {runs:,} (at most {_percent(wilson(sum(hits.values()), runs)[1])})"
        return said if not hits[worst] else f"{said}; worst case {self.share(worst, name)}"

    def seconds(self, question: str, name: str = "p50 s") -> str:
        low, high = self.intervals[f"{question}: {name}"]
        value = self.figures[f"{question}: {name}"]
        if value is None:
            return f"never ({self.runs[question]:,})"
        ends = "" if low == high else f"{low:g} to {'never' if high is None else f'{high:g}'}; "
        return f"{value:g} s ({ends}{self.runs[question]:,})"

    def plain(self, key: str, form: str) -> str:
        value = self.figures[key]
        return "never" if value is None else form.format(value)

    def named(self, *starts: str, without: str = "\0") -> tuple[str, ...]:
        found = tuple(q for q in self.runs if q.startswith(starts) and without not in q)
        if not found:
            raise KeyError(starts[0])
        return found


@dataclass(frozen=True)
class Row:
    asked: str
    designed: str
    measured: Callable[[Results], str]


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.9 else f"{share * 100:.3g} %"


def _stop(asked: str, designed: str, question: str) -> Row:
    name = f"stop, {question}"
    return Row(
        asked,
        designed,
        lambda r: (
            f"{r.seconds(name)}; 95 % within {r.plain(f'{name}: p95 s', '{:g} s')}; "
            f"{round(r.figures[f'{name}: p50 bad'] or 0)} bad"
        ),
    )


def _healthy(asked: str, designed: str, question: str) -> Row:
    name = f"healthy, {question}"
    return Row(asked, designed, lambda r: f"{r.seconds(name)}; promoted {r.share(name, 'promoted')}")


def _aborts(*starts: str) -> Callable[[Results], str]:
    return lambda r: r.together("false aborts", *r.named(*starts, without="pairs"))


def _through(*questions: str) -> Callable[[Results], str]:
    return lambda r: "; ".join(r.share(f"bad, {q}", "let through") for q in questions)


TWICE = ("×2 errors, k 1, 5 %", "×2 errors, k 1, 25 %", "×2 errors, k 1, 50 %", "×2 errors, k 1, 100 %")
MIDDLE = "0.2 % of 0.1 % errors, 10/50/100"

GROUPS: dict[str, tuple[Row, ...]] = {
    "A good release is stopped": (
        Row("as good as the old one; 20 to 2000 rps, 0 to 0.5 % errors", "0 of 48,000", _aborts("good, RR 1,")),
        Row("1.25 times as bad, which still counts as good", "0 of 48,000", _aborts("good, RR 1.25,")),
        Row(
            "errors in pairs that nobody measured",
            "≤ 0.15 %",
            lambda r: r.share("good, RR 1, errors in pairs, k unknown, 15 min", "false aborts"),
        ),
        Row(
            "the same, 1.25 times as bad",
            "≤ 1.05 %",
            lambda r: r.share("good, RR 1.25, errors in pairs, k unknown, 15 min", "false aborts"),
        ),
        Row("bursts of 5 and of 10, measured", "≤ 1 %", _aborts("good, bursts")),
        Row(
            "an outage of both releases is blamed on the new one",
            "0 of 1,500",
            lambda r: r.together("blamed on the new release", *r.named("outage")),
        ),
    ),
    "A bad release gets past one step": (
        Row("twice the errors, no bursts: at 5, 25, 50, 100 %", "3.5 % at worst", _through(*TWICE)),
        Row("the same, bursts not measured: at 50 %", "0.85 % at worst", _through("×2 errors, k unknown, 50 %")),
        Row(
            "twice the errors, in pairs that nobody measured: at 50, 100 %",
            "≤ 5 %",
            _through("×2 errors in pairs, k unknown, 50 %", "×2 errors in pairs, k unknown, 100 %"),
        ),
        Row("1 % errors after none, at 5 %", "≤ 5 %", _through("1 % of 0 errors, k 1, 5 %")),
        Row(
            "5 % slow answers, the old one 2.5 %: no bursts; bursts not measured",
            "≤ 0.1 %",
            _through("latency ×2, k 1, 10 %", "latency ×2, k unknown, 10 %"),
        ),
        Row("0.2 % errors seen by 50 probes a second", "≤ 5 %", _through("0.2 % errors, seen by probes, 100 %")),
        Row(
            "0.2 % errors after 0.1 %, 10/50/100: held at 100 %; stopped; promoted",
            "held at 100 %",
            lambda r: "; ".join(r.share(f"bad, {MIDDLE}", n) for n in ("held at 100 %", "stopped", "let through")),
        ),
    ),
    "A healthy release is promoted": (
        Row("100 rps, 0.1 % errors, one fixed limit for all weights", "4.6 % in time", lambda r: "not built: unusable"),
        _healthy("100 rps, 0.1 % errors", "680 s", "100 rps 0.1 %, k measured"),
        _healthy("the same, bursts of errors not measured", "–", "100 rps 0.1 %, k of errors unknown"),
        _healthy("the same, no bursts measured at all", "–", "100 rps 0.1 %, no k known"),
        _healthy("the same, steps 10/50/100", "480 s", "100 rps 0.1 %, k measured, 10/50/100"),
        Row(
            "of those within 600 s",
            "95 %",
            lambda r: r.share("healthy, 100 rps 0.1 %, k measured, 10/50/100", "promoted within 600 s"),
        ),
        _healthy("20 rps, 0.1 % errors, users alone", "half are held", "20 rps 0.1 %, k measured"),
        _healthy("300 rps, no errors", "650 s", "300 rps 0.00%, k measured"),
        _healthy("300 rps, 0.02 %", "723 s", "300 rps 0.02%, k measured"),
        _healthy("300 rps, 0.1 %", "1275 s", "300 rps 0.10%, k measured"),
        _healthy("300 rps, 0.5 %", "800 s", "300 rps 0.50%, k measured"),
        _healthy("2000 rps, 0.1 %", "480 to 600 s", "2000 rps 0.1 %, k measured"),
        _healthy("probes, 20 a second, no errors", "645 s", "probes 20/s 0.0%"),
        _healthy("probes, 20 a second, 0.1 %", "1730 s", "probes 20/s 0.1%"),
        _healthy("probes, 50 a second, no errors", "480 s", "probes 50/s 0.0%"),
        _healthy("probes, 50 a second, 0.1 %", "1125 s", "probes 50/s 0.1%"),
    ),
    "A bad release is stopped": (
        _stop("50 % errors, 100 rps, weight 10 %", "5 s", "50 % errors, 100 rps, 5-s ticks"),
        _stop("the same, ticks of 1 s", "1 to 4 s, 5 to 17 bad", "50 % errors, 100 rps, 1-s ticks"),
        _stop("50 % errors, 100 rps, 5 %", "5 s", "50 % errors, 100 rps 5 %"),
        _stop("50 % errors, 20 rps, 10 %", "5 s", "50 % errors, 20 rps"),
        _stop("50 % errors, one request in 4 s, ticks of 1 s", "15 s (guard alone)", "50 % errors, 2.5 rps, 1-s ticks"),
        _stop("5 % errors, 100 rps, 5 %", "25 s, 6 to 10 bad", "5 % errors, 100 rps 5 %"),
        _stop("5 % errors, 100 rps, 10 %", "15 s, 6 to 10 bad", "5 % errors, 100 rps, 5-s ticks"),
        _stop("the same, bursts of errors not measured", "–", "5 % errors, 100 rps, k unknown, 5-s ticks"),
        _stop("the same, ticks of 1 s", "–", "5 % errors, 100 rps, k unknown, 1-s ticks"),
        _stop("5 % errors, 300 rps, 10 %", "5 s, 6 to 10 bad", "5 % errors, 300 rps"),
        _stop("2 % errors, 100 rps, 5 %", "75 s", "2 % errors, 100 rps 5 %"),
        _stop("2 % errors, 100 rps, 10 %", "45 s", "2 % errors, 100 rps, 5-s ticks"),
        _stop("2 % errors, 300 rps, 10 %", "15 s", "2 % errors, 300 rps"),
        _stop("+300 ms, 100 rps, 10 %", "5 s", "+300 ms, 100 rps, 5-s ticks"),
        _stop("the same, ticks of 1 s", "1 to 3 s", "+300 ms, 100 rps, 1-s ticks"),
        _stop("4 times 0.5 %, 100 rps, 10 %", "110 s", "×4 from 0.5 %, 100 rps"),
        Row(
            "2 times 0.5 %, 100 rps, 5 %, within 900 s",
            "2 %; the plan says so",
            lambda r: r.share("stop, 1 % from 0.5 %, 100 rps 5 %", "stopped"),
        ),
        _stop("5 % errors that begin after 10 min, 100 rps", "× 1.6", "5 % errors after 10 min, 100 rps"),
        _stop("10 times 0.5 % after 15 min, 100 rps", "28 s", "×10 from 0.5 % after 15 min, 100 rps"),
        _stop("4 times 0.5 % after 15 min, 200 rps", "70 s", "×4 from 0.5 % after 15 min, 200 rps"),
        _stop("2 times 0.5 % after 15 min, 1000 rps", "140 s", "×2 from 0.5 % after 15 min, 1000 rps"),
        _stop("5 % errors, 20 rps and 20 probes a second", "–", "5 % errors, 20 rps, with probes 20/s"),
        _stop(
            "the same, only users meet them",
            "–",
            "5 % errors that probes do not see, 20 rps, with probes 20/s",
        ),
    ),
    "Cost and closedness": (
        Row(
            "promotions in mixtures of faults in the data",
            "0",
            lambda r: (
                r.plain("no data: promotions", "{:.0f} of ")
                + r.plain("no data: mixtures of faults at gates", "{:,.0f}")
            ),
        ),
        Row(
            "time for one metric and tick",
            "≤ 150 µs",
            lambda r: r.plain("cost: µs per metric and tick", "{:.0f} µs"),
        ),
        Row(
            "memory of one metric",
            "≤ 4 KB",
            lambda r: r.plain("cost: bytes of the largest metric", "{:,.0f} bytes"),
        ),
    ),
}


def table(results: Results) -> Iterator[str]:
    for group, rows in GROUPS.items():
        yield f"\n**{group}**\n\n| Question | Design | Measured |\n|:---|:---|:---|\n"
        for row in rows:
            yield f"| {row.asked} | {row.designed} | {_found(row, results)} |\n"
    runs = sum(results.runs.values())
    yield f"\n{runs:,} rollouts, seed {results.conditions['seed']:,}, Python {results.conditions['python']}.\n"


def _found(row: Row, results: Results) -> str:
    try:
        return row.measured(results)
    except KeyError:
        return OPEN


def main() -> int:
    results = Results([RESULTS / f"{name}.json" for name in sys.argv[1:] or ["judge"]])
    head, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    if not rest or not tail:
        print(f"{PAGE.name} has no place for the figures: {BEGIN.strip()} and {END.strip()}", file=sys.stderr)
        return 1
    PAGE.write_text(head + BEGIN + "".join(table(results)) + "\n" + END + tail)
    return 0


if __name__ == "__main__":
    sys.exit(main())
