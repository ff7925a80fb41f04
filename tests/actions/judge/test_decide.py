"""The table of words, row by row, and which row wins."""

from dataclasses import replace
from typing import Any

import pytest

from soc_deploy_mcp.actions.deploy import judge
from soc_deploy_mcp.actions.deploy.judge import ArmTick, Count, Memory, Stage, StepInfo, Tick, Word
from soc_deploy_mcp.core.config.settings import CustomCheck
from tests.actions.judge.build import (
    CANARY,
    EVERYBODY,
    MEASURED,
    PROBED,
    STEP,
    alone,
    arm,
    healthy,
    last,
    play,
    rules,
    tick,
    words,
)

DOWN = ArmTick({}, unusable="source_down")


def probed(at: float, users: ArmTick | None = None, bad: int = 0, n: int = 50) -> Tick:
    """Hardly any users; our own probes on both releases."""
    sent = {"synthetic_errors": Count(n, bad), "synthetic_latency": Count(n, 0)}
    seen = users or arm(0)
    return Tick(
        at, ArmTick(dict(seen.counts) | sent), ArmTick(dict(arm(0).counts) | {**sent, "synthetic_errors": Count(n, 0)})
    )


def probing() -> judge.Specs:
    return rules(measured=PROBED, synthetic=True)


# --- row by row


def test_an_exit_is_a_crash_and_stays_one() -> None:
    _, said = play([tick(1.0, crashes=1), *healthy(40, 2)])
    assert words(said) == {Word.CRASH}
    assert said[0].failure


def test_worse_than_the_old_release_is_rejected_and_stays_so() -> None:
    _, said = play([*(tick(float(t), arm(100, 10)) for t in range(1, 10)), *healthy(300, 10)])
    assert (said[-1].word, said[-1].metric) == (Word.REJECT, "errors")
    assert said[-1].failure


def test_slow_answers_are_rejected_under_their_own_name() -> None:
    verdict = last(tick(float(t), arm(100, 0, slow=100)) for t in range(1, 5))
    assert (verdict.word, verdict.metric) == (Word.REJECT, "latency")


def test_a_rise_below_the_floor_is_shown_and_not_rejected() -> None:
    verdict = last(tick(float(t), arm(10_000, 4), arm(90_000, 0)) for t in range(1, 60))
    assert verdict.word not in (Word.REJECT, Word.ABSOLUTE)
    errors = verdict.readings[0]
    assert errors.below_floor
    assert errors.ln_worse < errors.ln_worse_needed


def test_bad_by_itself_is_absolute() -> None:
    verdict = last([alone(1.0, arm(1000, 100))], rules(stage=EVERYBODY))
    assert (verdict.word, verdict.reason, verdict.metric) == (Word.ABSOLUTE, "guard", "errors")


def test_what_a_rollout_may_cost_is_capped_whatever_the_statistics_say() -> None:
    little = replace(MEASURED, requests_30d=100_000.0)  # 100 failed requests in 30 days, 5 for a rollout
    slowly = [tick(float(t), arm(100, int(t % 40 == 0)), arm(900, 0)) for t in range(1, 1500)]
    _, said = play(slowly, rules(measured=little), step=replace(STEP, max_s=9000))
    budget = next(v for v in said if v.word is Word.BUDGET)
    assert budget.cost.cap == 5.0
    assert budget.cost.excess > 5.0
    assert budget.cost.budget_share == pytest.approx(budget.cost.excess / 100)
    assert not words(said) & {Word.REJECT, Word.ABSOLUTE}


def test_a_ratio_up_to_r0_and_chance_cost_nothing() -> None:
    known = replace(MEASURED, requests_30d=100_000.0, before={"errors": Count(100_000, 2000)}, bounds_ms={})
    as_agreed = [tick(float(t), arm(1000, 25), arm(9000, 180)) for t in range(1, 120)]
    verdict = last(as_agreed, rules(measured=known))
    assert verdict.cost.excess == pytest.approx(5 * 119)
    assert verdict.word not in (Word.BUDGET, Word.REJECT)
    by_chance = [tick(float(t), arm(1000, 21 if t < 10 else 20), arm(9000, 180)) for t in range(1, 120)]
    verdict = last(by_chance, rules(measured=known))
    assert verdict.cost.cap is not None
    assert verdict.cost.excess > verdict.cost.cap
    assert verdict.word is not Word.BUDGET


def test_an_outage_of_both_costs_nothing() -> None:
    little = replace(MEASURED, requests_30d=100_000.0)
    both = [tick(float(t), arm(100, 50), arm(900, 450)) for t in range(1, 60)]
    state, said = play(both, rules(measured=little))
    assert said[-1].word is Word.ENV_UNHEALTHY
    assert state.toll.excess == pytest.approx(0.0)


def test_memory_at_its_limit_is_absolute() -> None:
    verdict = last([tick(1.0, memory={"a": Memory(0.5, 100), "b": Memory(0.96, 192)})])
    assert (verdict.word, verdict.reason) == (Word.ABSOLUTE, "memory_limit")


@pytest.mark.parametrize(
    ("canary", "baseline", "reason"),
    [
        (DOWN, None, "new_release_source_down"),
        (None, DOWN, "old_release_source_down"),
        (arm(100), replace(arm(900), age_s=2.5), "old_release_stale"),
        (replace(arm(100), age_s=float("nan")), None, "new_release_no_sample_time"),
        (ArmTick({"errors": Count(100, 0)}), None, "new_release_missing"),
        (ArmTick({**arm(100).counts, "errors": Count(100, -1)}), None, "new_release_not_a_count"),
    ],
)
def test_data_that_cannot_be_used_is_said_with_its_reason(
    canary: ArmTick | None, baseline: ArmTick | None, reason: str
) -> None:
    _, said = play([*healthy(40), tick(41.0, canary, baseline), tick(42.0, canary, baseline)])
    assert said[39].word is Word.ACCEPT
    assert (said[-1].word, said[-1].reason, said[-1].since) == (Word.NO_DATA, reason, 41.0)
    assert not said[-1].failure
    _, said = play([*healthy(40), tick(41.0, canary, baseline), tick(42.0)])
    assert said[-1].word is Word.ACCEPT  # a gap is not held against anybody


def test_instances_that_cannot_be_seen_are_no_data() -> None:
    _, said = play([*healthy(40), tick(41.0, crashes=None), tick(42.0, crashes=None)])
    assert (said[-1].word, said[-1].reason, said[-1].since) == (Word.NO_DATA, "instances_unknown", 41.0)


def test_ticks_that_stop_coming_are_no_data() -> None:
    state, _ = play(healthy(40))
    assert judge.verdict(state, rules(), STEP, 41.5).word is Word.ACCEPT
    late = judge.verdict(state, rules(), STEP, 43.0)
    assert (late.word, late.reason, late.since) == (Word.NO_DATA, "no_tick", 40.0)
    never = judge.verdict(judge.new_state(rules(), 100), rules(), STEP, 1.0)
    assert (never.word, never.reason) == (Word.NO_DATA, "no_tick")


def test_a_release_that_answers_nobody_fails_without_grace() -> None:
    _, said = play([*healthy(5), *(tick(float(t), arm(0)) for t in range(6, 10))])
    silent = next(v for v in said if v.reason == "canary_silent")
    assert silent.word is Word.NO_DATA
    assert silent.failure


def test_nobody_is_called_silent_before_a_first_answer_can_have_come() -> None:
    _, said = play([tick(float(t), arm(0)) for t in range(1, 8)])
    assert [v.reason == "canary_silent" for v in said] == [False] * 4 + [True] * 3


def test_a_seldom_asked_release_is_not_called_silent() -> None:
    rare = replace(MEASURED, rps=2.0)
    ticks = [tick(float(t), arm(0), arm(2)) for t in range(1, 60)]
    _, said = play(ticks, rules(measured=rare))
    assert "canary_silent" not in {v.reason for v in said}


def test_no_traffic_is_no_data_and_becomes_a_hold() -> None:
    step = StepInfo(0.0, 10, 100)
    _, said = play([*healthy(20), *(tick(float(t), arm(0), arm(0)) for t in range(21, 110))], step=step)
    assert (said[60].word, said[60].reason) == (Word.NO_DATA, "no_traffic")
    assert not said[60].failure
    assert said[-1].word is Word.HOLD
    assert Word.ACCEPT not in words(said[20:])


def test_a_healthy_release_is_accepted_after_the_least_time() -> None:
    _, said = play(healthy(40))
    first = next(i for i, v in enumerate(said, 1) if v.word is Word.ACCEPT)
    assert first >= STEP.min_s
    assert all(v.word is Word.CONTINUE for v in said[: first - 1])


def test_too_few_requests_are_not_accepted_however_good() -> None:
    many = replace(STEP, min_samples=3000)
    _, said = play(healthy(40), step=many)
    assert said[28].reason == "min_samples"
    assert said[-1].word is Word.ACCEPT


def test_too_few_requests_of_the_old_release_are_not_accepted_either() -> None:
    most = Stage(90, True, 10, 900)
    ticks = [tick(float(t), arm(900, slow=9), arm(2)) for t in range(1, 70)]
    _, said = play(ticks, rules(stage=most, stages=(most,)))
    assert said[39].reason == "min_samples"
    assert said[-1].word is Word.ACCEPT


def test_nothing_proven_when_the_time_is_over_is_a_hold() -> None:
    step = StepInfo(0.0, 10, 20)
    few = [tick(float(t), arm(2), arm(18)) for t in range(1, 25)]
    _, said = play(few, step=step)
    assert (said[-1].word, said[-1].reason) == (Word.HOLD, "not_accepted")


def test_an_acceptance_is_taken_back_when_the_release_turns_bad() -> None:
    _, said = play([*healthy(12), *(tick(float(t), arm(100, 2)) for t in range(13, 16))])
    assert said[11].word is Word.ACCEPT
    assert (said[-1].word, said[-1].reason) == (Word.CONTINUE, "not_accepted")


# --- which row wins


def test_a_crash_wins_over_everything() -> None:
    verdict = last([tick(1.0, arm(100, 100), DOWN, crashes=1)])
    assert verdict.word is Word.CRASH


def test_what_is_proven_wins_over_missing_data() -> None:
    _, said = play([*(tick(float(t), arm(100, 40)) for t in range(1, 5)), tick(5.0, DOWN, DOWN)])
    assert said[-1].word is Word.REJECT


def test_reject_takes_the_place_of_absolute() -> None:
    few = [tick(float(t), arm(2, 2), arm(0)) for t in range(1, 6)]
    state, said = play(few)
    assert said[-1].word is Word.ABSOLUTE
    _, said = play([tick(float(t), arm(100, 50)) for t in range(6, 12)], state=state)
    assert said[-1].word is Word.REJECT


def test_missing_data_wins_over_the_end_of_the_time() -> None:
    step = StepInfo(0.0, 10, 20)
    _, said = play([*healthy(10), *(tick(float(t), DOWN) for t in range(11, 40))], step=step)
    assert said[-1].word is Word.NO_DATA


# --- probes


def test_probes_decide_where_users_are_too_few() -> None:
    _, said = play([probed(float(t)) for t in range(1, 60)], probing())
    assert said[-1].word is Word.ACCEPT
    assert {r.metric: r.required for r in said[-1].readings} == {
        "errors": False,
        "latency": False,
        "latency_slo": False,
        "synthetic_errors": True,
        "synthetic_latency": True,
    }


def test_probes_that_fail_reject() -> None:
    verdict = last((probed(float(t), bad=5) for t in range(1, 20)), probing())
    assert (verdict.word, verdict.metric) == (Word.REJECT, "synthetic_errors")


def test_users_still_count_against_a_release_that_probes_find_well() -> None:
    verdict = last((probed(float(t), arm(3, 3)) for t in range(1, 20)), probing())
    assert (verdict.word, verdict.metric) == (Word.ABSOLUTE, "errors")


def test_users_are_never_unwatched_even_where_probes_decide() -> None:
    lost = ArmTick({}, 0.0)
    ticks = [probed(float(t)) for t in range(1, 60)] + [probed(60.0, lost)]
    _, said = play(ticks, probing())
    assert said[-2].word is Word.ACCEPT
    assert (said[-1].word, said[-1].reason) == (Word.NO_DATA, "new_release_missing")


def test_probes_that_were_not_sent_prove_nothing() -> None:
    ticks = [probed(float(t), n=0) for t in range(1, 60)]
    _, said = play(ticks, probing())
    assert Word.ACCEPT not in words(said)
    assert (said[-1].word, said[-1].reason) == (Word.NO_DATA, "no_traffic")


def test_users_who_do_not_come_at_all_are_not_waited_for_when_probes_run() -> None:
    """Measured before the rollout there was traffic enough; in this step nobody comes."""
    both = replace(PROBED, rps=1000.0, before={**PROBED.before, **MEASURED.before})
    _, said = play([probed(float(t)) for t in range(1, 60)], rules(measured=both, synthetic=True))
    assert said[-1].word is Word.ACCEPT or said[-1].reason == "min_samples"
    few = [probed(float(t), arm(1)) for t in range(1, 60)]
    _, said = play(few, rules(measured=both, synthetic=True))
    assert Word.ACCEPT not in words(said)


def some_left(errors: int = 0, *, silent_s: int, at: int = 10) -> list[Tick]:
    """`at` seconds with users, the new release's errors all in the last of them; then our own probes alone."""
    came = [probed(float(t), arm(100)) for t in range(1, at)] + [probed(float(at), arm(100, errors))]
    return came + [probed(float(t)) for t in range(at + 1, at + 1 + silent_s)]


def demanding(**measured: Any) -> judge.Specs:
    """Users' errors are waited for, beside the probes."""
    both = replace(PROBED, rps=1000.0, before={**PROBED.before, **MEASURED.before}, **measured)
    specs = rules(measured=both, synthetic=True)
    assert {m.name for m in specs.metrics if m.required} == {"errors", "synthetic_errors", "synthetic_latency"}
    return specs


def test_users_who_left_are_waited_for_until_there_is_no_traffic() -> None:
    specs = demanding()
    _, said = play(some_left(silent_s=29), specs)
    assert Word.ACCEPT not in words(said[10:])
    _, said = play(some_left(silent_s=40), specs)
    assert (said[-1].word, said[-1].reason) == (Word.ACCEPT, "")


def test_one_request_of_users_who_left_makes_them_waited_for_again() -> None:
    _, said = play(
        [*some_left(silent_s=40), probed(51.0, arm(1)), *(probed(float(t)) for t in range(52, 70))], demanding()
    )
    assert said[49].word is Word.ACCEPT
    assert Word.ACCEPT not in words(said[50:])


def test_probes_do_not_make_good_what_users_met_before_they_left() -> None:
    few = [*some_left(errors=5, at=3, silent_s=200)]
    _, said = play(few, demanding())
    assert not any(v.failure for v in said)
    assert Word.ACCEPT not in words(said)
    assert (said[-1].word, said[-1].metric) == (Word.CONTINUE, "errors")


@pytest.mark.parametrize(
    ("users", "paid", "accepted"),
    [
        (100, 0, False),  # nobody paid; that others only looked does not speak for paying
        (0, 1, False),  # the router saw nobody; what is paid by other ways is still waited for
        (0, 0, True),
    ],
)
def test_a_required_check_is_waited_for_as_long_as_anybody_comes(users: int, paid: int, accepted: bool) -> None:
    check = CustomCheck(name="paid", bad="x", total="y", required=True)
    both = replace(PROBED, rps=1000.0, before={**PROBED.before, **MEASURED.before, "paid": Count(100_000, 0)})
    specs = rules(measured=both, synthetic=True, checks=(check,))
    assert next(m for m in specs.metrics if m.name == "paid").required
    sent = {"synthetic_errors": Count(50, 0), "synthetic_latency": Count(50, 0), "paid": Count(paid, 0)}
    ticks = [tick(float(t), arm(users, **sent), arm(users, **sent)) for t in range(1, 80)]
    assert (Word.ACCEPT in words(play(ticks, specs)[1])) is accepted


def test_what_could_not_be_counted_is_no_silence_of_users() -> None:
    blind = [probed(float(t), ArmTick({}, 0.0)) for t in range(11, 51)]
    ticks = [*some_left(silent_s=0), *blind, *(probed(float(t)) for t in range(51, 70))]
    _, said = play(ticks, demanding())
    assert said[30].word is Word.NO_DATA
    assert Word.ACCEPT not in words(said[10:])


def test_without_probes_users_who_do_not_come_are_waited_for() -> None:
    ticks = [Tick(float(t), arm(0), arm(0)) for t in range(1, 60)]
    _, said = play(ticks, rules(measured=replace(PROBED, rps=1.0)))
    assert Word.ACCEPT not in words(said)


# --- the words at 100 %


def test_everybody_on_the_new_release_is_accepted_by_its_own_rate() -> None:
    specs = rules(stage=EVERYBODY)
    _, said = play([alone(float(t)) for t in range(1, 60)], specs)
    assert said[-1].word is Word.ACCEPT
    assert said[-1].readings[0].baseline is None
    assert said[-1].readings[0].ratio is None


def test_a_rate_above_the_target_is_not_accepted_at_100_percent() -> None:
    specs = rules(stage=EVERYBODY)
    _, said = play([alone(float(t), arm(1000, 3, slow=10)) for t in range(1, 60)], specs)
    assert Word.ACCEPT not in words(said)


def test_a_step_without_anything_required_is_never_accepted() -> None:
    specs = rules(stage=CANARY)
    nothing = replace(specs, metrics=tuple(replace(m, required=False) for m in specs.metrics))
    _, said = play(healthy(60), nothing)
    assert said[-1].reason == "nothing_required"
    assert Word.ACCEPT not in words(said)


def test_a_reading_shows_what_the_line_prints() -> None:
    errors = last([tick(float(t), arm(100, 1), arm(900, 9)) for t in range(1, 41)]).readings[0]
    assert errors.canary == Count(4000, 40)
    assert errors.baseline == Count(36_000, 360)
    assert errors.ratio == pytest.approx(1.0)
    shown = errors.to_json()
    assert shown["canary"] == [4000, 40]
    assert shown["ln_worse"] < shown["ln_worse_needed"]
    assert shown["ln_safe_needed"] == pytest.approx(2.9957, abs=1e-3)


def test_a_stage_of_a_blue_green_release_is_judged_alone() -> None:
    switch = Stage(100, False, 10, 900)
    specs = rules(stage=switch, stages=(switch,))
    assert all(m.relative_weight == 0 for m in specs.metrics)
    assert sum(m.guard_weight for m in specs.metrics) == pytest.approx(1.0)
    assert last([alone(float(t)) for t in range(1, 60)], specs).word is Word.ACCEPT
