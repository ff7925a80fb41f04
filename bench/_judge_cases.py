"""The questions that the judge's simulation answers, each with its world, its size and its goal.

Times are seconds from the first request to the new release until the word; late onsets from the onset.
"""

from dataclasses import dataclass, replace
from math import inf

from bench._judge_figures import Figure, Quantile, Share, UpperEnd
from bench._report import Goal
from soc_deploy_mcp.actions.deploy.judge import Stage, Word
from tests.actions.judge.simulate import DEFAULT, Case, Outcome, World, at_weight, steps

STOPPED = {Word.REJECT, Word.ABSOLUTE, Word.BUDGET, Word.CRASH}


@dataclass(frozen=True)
class Question:
    name: str
    case: Case
    figures: tuple[tuple[str, Figure, Goal | None], ...]
    runs: int = 1000


# --- what is read off


def stopped(outcome: Outcome) -> bool:
    return bool(outcome.said & STOPPED) or outcome.reason == "canary_silent"


def promoted(outcome: Outcome) -> bool:
    return outcome.word is Word.ACCEPT


def held(outcome: Outcome) -> bool:
    return outcome.word is Word.HOLD


def held_at(stage: int) -> Share:
    return Share(lambda outcome: held(outcome) and outcome.stage == stage)


def promoted_within(seconds: float) -> Share:
    return Share(lambda outcome: promoted(outcome) and outcome.at_s <= seconds)


def until_promoted(share: float) -> Quantile:
    """A release that is held is never promoted."""
    return Quantile(lambda outcome: outcome.at_s if promoted(outcome) else inf, share)


def until_stopped(share: float, since: float = 0.0) -> Quantile:
    return Quantile(lambda outcome: outcome.at_s - since if stopped(outcome) else inf, share)


def until_first_step(share: float) -> Quantile:
    return Quantile(lambda outcome: outcome.accepted[0] if outcome.accepted else inf, share)


def excess(share: float) -> Quantile:
    return Quantile(lambda outcome: outcome.excess, share)


# --- the questions

Known = tuple[tuple[str, float], ...]
EXACT: Known = (("errors", 1.0), ("latency", 1.0), ("latency_slo", 1.0))
MEASURED: Known = (
    ("errors", 1.15),
    ("latency", 1.15),
    ("latency_slo", 1.15),
)  # upper bounds where bursts were looked for
LATENCY = MEASURED[1:]  # errors too few to measure their bursts
UNKNOWN: Known = ()
UPPER = "upper 95 %"  # a goal only at the full size: a small run cannot bound a share from above
ABORTS = (("false aborts", Share(stopped), ("<=", 0.01)), (UPPER, UpperEnd(Share(stopped)), ("<=", 0.01)))
PASSES = (("let through", Share(promoted), ("<=", 0.05)),)


def good_releases() -> list[Question]:
    """Type I: a fixed time at one weight, looked at after each tick; and whole rollouts."""
    found = []

    def one(name: str, case: Case, runs: int = 1000) -> None:
        found.append(Question(f"good, {name}", case, ABORTS, runs))

    for rps in (20, 200, 2000):
        worst = World(rps=rps, errors=0.005, slow=0.03, ratio=1.25)
        one(f"RR 1.25, {rps} rps 50 %, 15 min", at_weight(Case(worst), 50, 900), 3000)
        for ratio in (1.0, 1.25):
            one(f"RR {ratio:g}, {rps} rps 5/25/50/100", Case(World(rps=rps, errors=0.002, slow=0.03, ratio=ratio)))
    one("RR 1, 200 rps without errors 5/25/50/100", Case(World(rps=200, errors=0.0, slow=0.03)))
    one(
        "RR 1.25, 200 rps 5 %, 15 min",
        at_weight(Case(World(rps=200, errors=0.005, slow=0.03, ratio=1.25)), 5, 900),
        3000,
    )
    seldom = World(rps=20, errors=0.005, slow=0.03, ratio=1.25)
    one("RR 1.25, 20 rps 10 %, 5 min, 1-s ticks", at_weight(Case(seldom, tick=1.0), 10, 300), 2000)
    for ratio in (1.0, 1.25):
        pairs = World(rps=100, errors=0.005, slow=0.01, ratio=ratio, burst=2)
        one(f"RR {ratio:g}, errors in pairs, k unknown, 15 min", at_weight(Case(pairs, k=LATENCY), 50, 900), 2000)
    for burst in (5, 10):
        known = tuple((m, float(burst)) for m in ("errors", "latency", "latency_slo"))
        world = World(rps=200, errors=0.005, slow=0.01, burst=burst, burst_slow=burst)
        one(f"bursts of {burst}, k measured, 15 min", at_weight(Case(world, k=known), 10, 900))
    one("RR 1.25, 100 rps 25 %, 15 min", at_weight(Case(World(errors=0.005, slow=0.03, ratio=1.25)), 25, 900), 2000)
    return found


def an_hour() -> list[Question]:
    """Type I over an hour: 720 looks."""
    return [
        Question(
            f"good, RR {ratio:g}, 100 rps 10 %, 60 min",
            at_weight(Case(World(errors=0.005, slow=0.03, ratio=ratio)), 10, 3600),
            ABORTS,
            runs,
        )
        for ratio, runs in ((1.25, 1000), (1.0, 3000))
    ]


def outages() -> list[Question]:
    """100 s of errors on both releases: 12 worlds of 125 runs are the 1,500."""
    blame = (("blamed on the new release", Share(stopped), ("==", 0.0)),)
    found = []
    for tick in (1.0, 5.0):
        for rps, weight in ((20, 50), (100, 5)):
            for rate in (0.05, 0.2, 1.0):
                world = World(rps=rps, outage=(100, 200, rate))
                stage = Stage(weight, True, 300, 300)
                case = Case(world, stages=(stage,), tick=tick, go_on=True, until_s=300)
                name = f"outage of both, {rate:.0%} errors, {rps} rps {weight} %, {tick:g}-s ticks"
                found.append(Question(name, case, blame, 125))
    return found


def bad_releases() -> list[Question]:
    """One step with a release exactly as bad as ACCEPT must rule out."""
    found = []

    def one(name: str, weight: int, world: World, k: Known, **more: float) -> None:
        stage = Stage(weight, weight < 100, 60, 900)
        found.append(Question(f"bad, {name}, {weight} %", Case(world, stages=(stage,), k=k, **more), PASSES, 2000))

    for weight, base in ((5, 0.01), (25, 0.004), (50, 0.002), (100, 0.001)):
        one("×2 errors, k 1", weight, World(errors=base, ratio=2, slow_new=0.01), EXACT)
    one("1 % of 0 errors, k 1", 5, World(errors=0.0, errors_new=0.01), EXACT)
    one("×2 errors, k unknown", 50, World(errors=0.002, ratio=2, slow_new=0.01), LATENCY)
    one("×2 errors in pairs, k unknown", 100, World(errors=0.001, ratio=2, slow_new=0.01, burst=2), LATENCY)
    one("×2 errors in pairs, k unknown", 50, World(errors=0.002, ratio=2, slow_new=0.01, burst=2), LATENCY)
    one("latency ×2, k 1", 10, World(errors=0.0, slow=0.025, slow_new=0.05), EXACT)
    one("latency ×2, k unknown", 10, World(errors=0.0, slow=0.025, slow_new=0.05), UNKNOWN)
    one("0.2 % errors, seen by probes", 100, World(rps=0.2, errors=0.0, errors_new=0.002), EXACT, probes=50.0)
    twice = Case(World(errors_new=0.002), steps(10, 50, 100), k=MEASURED)
    figures = (*PASSES, ("held at 100 %", held_at(2), None), ("stopped", Share(stopped), None))
    found.append(Question("bad, 0.2 % of 0.1 % errors, 10/50/100", twice, figures))
    return found


def healthy_releases() -> list[Question]:
    """Whole rollouts of a release as good as the old one; the last step lasts 300 s at least."""

    def one(name: str, case: Case, p50: float | None = None, share: float | None = None) -> Question:
        at_most: Goal | None = ("<=", p50) if p50 else None
        at_least: Goal | None = (">=", share) if share else None
        figures = (
            ("p50 s", until_promoted(0.5), at_most),
            ("p90 s", until_promoted(0.9), None),
            ("promoted", Share(promoted), at_least),
            ("stopped", Share(stopped), ("<=", 0.01)),
        )
        return Question(f"healthy, {name}", case, figures)

    probes = (("latency", 1.0), ("latency_slo", 1.0))
    short = one("100 rps 0.1 %, k measured, 10/50/100", Case(World(), steps(10, 50, 100), k=MEASURED), 510, 0.9)
    in_time = ("promoted within 600 s", promoted_within(600), (">=", 0.91))
    found = [
        one("100 rps 0.1 %, k measured", Case(World(), k=MEASURED), 700, 0.9),
        replace(short, figures=(*short.figures, in_time)),
        one("100 rps 0.1 %, k measured, 1-s ticks", Case(World(), k=MEASURED, tick=1.0), 700, 0.9),
        one("100 rps 0.1 %, k of errors unknown", Case(World(), k=LATENCY)),
        one("100 rps 0.1 %, no k known", Case(World(), k=UNKNOWN)),
        one("20 rps 0.1 %, k measured", Case(World(rps=20), k=MEASURED)),
        one("2000 rps 0.1 %, k measured", Case(World(rps=2000), k=MEASURED), 600, 0.9),
    ]
    for rate, bound in ((0.0, 650), (0.0002, 723), (0.001, 1275), (0.005, 800)):
        found.append(one(f"300 rps {rate:.2%}, k measured", Case(World(rps=300, errors=rate), k=MEASURED), bound, 0.9))
    for rate, errors, bound, share in (
        (20, 0.0, 645, 0.9),
        (20, 0.001, 1730, None),
        (50, 0.0, 480, 0.9),
        (50, 0.001, 1125, 0.9),
    ):
        case = Case(World(rps=0.2, errors=errors), k=probes, probes=float(rate))
        found.append(one(f"probes {rate}/s {errors:.1%}", case, bound, share))
    return found


def regressions() -> list[Question]:
    """How long a bad release stays, and what it costs. 10 % unless said.

    Goals are the design's figures; where it simulated one metric alone with all of alpha, a quarter more is allowed
    for the shares of the others, and k times as much where bursts are allowed for.
    """

    def one(name: str, case: Case, p50: float | None = None, cost: float | None = None) -> Question:
        figures: tuple[tuple[str, Figure, Goal | None], ...] = (
            ("p50 s", until_stopped(0.5, case.world.onset_s), ("<=", p50) if p50 else None),
            ("p95 s", until_stopped(0.95, case.world.onset_s), None),
            ("p50 bad", excess(0.5), ("<=", cost) if cost else None),
            ("stopped", Share(stopped), (">=", 0.99) if p50 else None),
        )
        return Question(f"stop, {name}", case, figures)

    def at(weight: int, world: World, tick: float = 5.0, max_s: float = 900, k: Known = MEASURED) -> Case:
        return Case(world, (Stage(weight, True, 60, max_s),), tick, k=k, go_on=True)

    found = []
    for tick in (5.0, 1.0):
        t = f"{tick:g}-s ticks"
        found += [
            one(f"50 % errors, 100 rps, {t}", at(10, World(errors_new=0.5), tick), 5 if tick == 5 else 4, 30),
            one(f"5 % errors, 100 rps, {t}", at(10, World(errors_new=0.05), tick), 15),
            one(f"5 % errors, 100 rps, k unknown, {t}", at(10, World(errors_new=0.05), tick, k=LATENCY), 25),
            one(f"2 % errors, 100 rps, {t}", at(10, World(errors_new=0.02), tick), 45),
            one(f"+300 ms, 100 rps, {t}", at(10, World(slow_new=1.0), tick, k=UNKNOWN), 5 if tick == 5 else 3),
        ]
    late_ten = World(errors=0.005, errors_new=0.05, onset_s=900)
    late_four = World(rps=200, errors=0.005, errors_new=0.02, onset_s=900)
    late_two = World(rps=1000, errors=0.005, errors_new=0.01, onset_s=900)
    few = World(rps=20, errors_new=0.05)
    found += [
        one("50 % errors, 100 rps 5 %", at(5, World(errors_new=0.5)), 5, 30),
        one("5 % errors, 100 rps 5 %", at(5, World(errors_new=0.05)), 25),
        one("2 % errors, 100 rps 5 %", at(5, World(errors_new=0.02)), 75),
        one("5 % errors, 300 rps", at(10, World(rps=300, errors_new=0.05)), 5),
        one("2 % errors, 300 rps", at(10, World(rps=300, errors_new=0.02)), 15),
        one("50 % errors, 20 rps", at(10, World(rps=20, errors_new=0.5)), 5),
        one("50 % errors, 2.5 rps, 1-s ticks", at(10, World(rps=2.5, errors_new=0.5), 1.0)),
        one("×4 from 0.5 %, 100 rps", at(10, World(errors=0.005, errors_new=0.02)), 137.5),
        one("1 % from 0.5 %, 100 rps 5 %", at(5, World(errors=0.005, errors_new=0.01))),
        one("5 % errors after 10 min, 100 rps", at(10, World(errors_new=0.05, onset_s=600), max_s=1800), 24),
        one("×10 from 0.5 % after 15 min, 100 rps", at(10, late_ten, max_s=2700, k=EXACT), 35),
        one("×4 from 0.5 % after 15 min, 200 rps", at(10, late_four, max_s=2700, k=EXACT), 87.5),
        one("×2 from 0.5 % after 15 min, 1000 rps", at(10, late_two, max_s=2700), 218.75),
        one("5 % errors, 20 rps, with probes 20/s", replace(at(10, few), probes=20.0), 25),
        one(
            "5 % errors that probes do not see, 20 rps, with probes 20/s",
            replace(at(10, replace(few, probes_see=False)), probes=20.0),
        ),
    ]
    return found


def demonstration() -> list[Question]:
    """The demo: 300 rps, target below 0.5 %, 10/50/100 with 2 s at least, ticks of 1 s, bursts not measured."""
    short = (Stage(10, True, 2, 900), Stage(50, True, 2, 900), Stage(100, False, 3, 900))
    calm = World(rps=300, errors=0.0, slow=0.0005)
    case = Case(calm, short, 1.0, "<0.5%", UNKNOWN, history=False)
    return [
        Question(
            "demo, good canary",
            case,
            (
                ("step 10 % p50 s", until_first_step(0.5), None),
                ("p50 s", until_promoted(0.5), None),
                ("p90 s", until_promoted(0.9), None),
                ("promoted", Share(promoted), (">=", 0.99)),
            ),
        ),
        *(
            Question(
                f"demo, {name}",
                replace(case, world=replace(calm, **change)),
                (
                    ("p50 s", until_stopped(0.5), None),
                    ("p95 s", until_stopped(0.95), None),
                    ("p50 bad", excess(0.5), None),
                ),
            )
            for name, change in (("5 % errors", {"errors_new": 0.05}), ("+300 ms", {"slow_new": 1.0}))
        ),
    ]


def questions() -> list[Question]:
    """The quick ones first. What must not be stopped has the small cost cap of a project without history, what must
    not pass or must be found by the tests has the large one of a project with history: the harder one for each.
    """
    assert [s.weight for s in DEFAULT] == [5, 25, 50, 100]
    good = [*outages(), *healthy_releases(), *good_releases(), *an_hour()]
    return [
        *regressions(),
        *demonstration(),
        *bad_releases(),
        *(replace(question, case=replace(question.case, history=False)) for question in good),
    ]
