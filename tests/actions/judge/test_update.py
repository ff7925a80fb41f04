"""What a tick does to the state: which tests learn from it, what is ignored, what a resumed run goes on from."""

import json
from dataclasses import replace
from math import exp, inf, log, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.actions.deploy import judge
from soc_deploy_mcp.actions.deploy.judge import ArmTick, Count, JudgeState, Memory, Stage, Tick, Word
from soc_deploy_mcp.actions.deploy.judge import eprocess as e
from tests.actions.judge.build import CANARY, EVERYBODY, MEASURED, STEP, alone, arm, healthy, play, rules, tick


def test_evidence_grows_only_where_both_releases_were_asked() -> None:
    state, _ = play([tick(float(t), arm(100, 1), arm(0)) for t in range(1, 4)])
    errors = state.metrics["errors"]
    assert errors.relative.ticks == 0  # nothing to compare with
    assert errors.guard.ticks == 3  # the new release alone
    state, _ = play([tick(4.0)], state=state)
    assert state.metrics["errors"].relative.ticks == 1
    assert state.metrics["errors"].run == (400, 3, 900, 0)


def test_what_was_long_before_is_not_compared_with_what_is_now() -> None:
    waiting = [tick(float(t), arm(0), arm(9)) for t in range(1, 12)]
    state, _ = play([*waiting, tick(12.0, arm(3, 3), arm(9, 9))], rules(measured=replace(MEASURED, rps=1.0)))
    assert (
        state.metrics["errors"].ln_relative < 0.5
    )  # both fail now; the old release's good past is not held against it


def test_sparse_requests_are_pooled_until_they_can_be_compared() -> None:
    state, _ = play([tick(float(t), arm(1), arm(9)) for t in (1, 2)])
    assert state.metrics["errors"].relative.ticks == 0
    assert state.metrics["errors"].pool == (2, 0, 18, 0)
    state, _ = play([tick(3.0, arm(1), arm(9))], state=state)
    assert state.metrics["errors"].relative.ticks == 1
    assert state.metrics["errors"].pool == (0, 0, 0, 0)


@pytest.mark.parametrize("at", [1.0, 0.5, nan, inf, -inf])
def test_a_tick_that_is_not_younger_is_not_counted(at: float) -> None:
    state, _ = play([tick(1.0)])
    again, _ = judge.update(state, tick(at, arm(100, 100)), rules())
    assert again == replace(state, repeated=True)


def test_warming_up_leaves_latency_out_and_nothing_else() -> None:
    state, _ = play([tick(1.0, arm(100, 7, slow=90), warming=True)])
    assert state.metrics["latency"].run == (0, 0, 0, 0)
    assert state.metrics["latency_slo"].run == (0, 0, 0, 0)
    assert state.metrics["errors"].run.x_c == 7


def test_a_missing_old_release_does_not_hide_a_bad_new_one() -> None:
    blind = ArmTick({}, unusable="source_down")
    _, said = play([tick(float(t), arm(100, 60), blind) for t in range(1, 8)])
    assert said[-1].word is Word.ABSOLUTE


def test_a_new_step_keeps_what_speaks_against_the_release_and_nothing_that_speaks_for_it() -> None:
    second = Stage(50, True, 10, 900)
    stages = (CANARY, second)
    state, said = play([tick(float(t), arm(100, int(t == 3), slow=1)) for t in range(1, 60)], rules(stages=stages))
    assert said[-1].readings[0].accepted
    before = state.metrics["errors"]
    state = judge.on_new_step(state, rules(stage=second, stages=stages))
    after = state.metrics["errors"]
    assert (after.relative, after.guard, after.run) == (before.relative, before.guard, before.run)
    assert after.step == (0, 0, 0, 0)
    assert after.ln_safe == -inf
    assert not judge.verdict(state, rules(stage=second, stages=stages), STEP, 59.0).readings[0].accepted


def test_a_new_step_is_accepted_by_its_own_requests_alone() -> None:
    second = Stage(50, True, 10, 900)
    stages = (CANARY, second)
    specs = rules(stage=second, stages=stages)
    state, _ = play(healthy(60), rules(stages=stages))
    went_on, _ = play([tick(61.0)], specs, state=judge.on_new_step(state, specs))
    began_there, _ = play([tick(61.0)], specs)
    for name, m in went_on.metrics.items():
        assert (m.ln_safe, m.not_worse) == (began_there.metrics[name].ln_safe, began_there.metrics[name].not_worse)


@pytest.mark.parametrize("change", [{"alpha": 0.05}, {"r0": 1.5}, {"tick": 2.0}])
def test_rules_of_reject_cannot_change_between_steps(change: dict[str, float]) -> None:
    state = judge.new_state(rules(), 100)
    with pytest.raises(ValueError, match="must not change"):
        judge.on_new_step(state, rules(**change))


def test_no_ticks_planned_is_refused() -> None:
    with pytest.raises(ValueError, match="planned_ticks"):
        judge.new_state(rules(), 0)


def test_the_state_is_never_changed_in_place() -> None:
    state, _ = play(healthy(3))
    kept = json.dumps(state.to_json())
    play([tick(4.0, arm(100, 50), arm(900, 40), crashes=1)], state=state)
    assert json.dumps(state.to_json()) == kept


def test_each_test_allows_for_bursts_as_its_rules_say() -> None:
    """REJECT, floor and guard divide by one k, both halves of ACCEPT by the other."""
    specs = rules()
    errors = replace(specs.metrics[0], k_reject=2.0, k_accept=3.0, base_rate=0.001)
    specs = replace(specs, metrics=(errors, *specs.metrics[1:]))
    state, _ = play([tick(1.0, arm(100, 5), arm(900, 9))], specs)
    m, seen = state.metrics["errors"], (100, 5, 900, 9)
    assert errors.theta_ok is not None

    def bet(increments: list[float]) -> float:
        return e.ln_e(e.grow(e.fresh(len(increments)), increments, 3600), 3600)

    assert m.ln_relative == bet(e.compare(e.worse_ratios(1.25), 1.25, *seen, 2.0))
    assert m.ln_floor == bet(e.alone(e.rates_above(errors.floor), 100, 5, 2.0))
    assert m.ln_guard == bet(e.alone(e.rates_above(errors.abort_above), 100, 5, 2.0))
    not_worse = e.ln_not_worse(e.compare(e.better_ratios(2.0), 2.0, *seen, 3.0))
    low_enough = e.ln_low_enough(errors.theta_ok, 0.001, 100, 5, 3.0)
    assert m.ln_safe == pytest.approx(log((exp(not_worse) + exp(low_enough)) / 2))


# --- replay


def counts(n: int) -> st.SearchStrategy[Count]:
    return st.integers(0, n).flatmap(lambda m: st.integers(0, m).map(lambda x: Count(m, x)))


broken = st.sampled_from(
    [Count(-1, 0), Count(3, 5), Count(nan, 0), Count(10, inf), Count(1.5, 1), Count(True, False)]  # type: ignore[arg-type]
)
arms = st.builds(
    ArmTick,
    st.fixed_dictionaries({}, optional={n: counts(200) | broken for n in ("errors", "latency", "latency_slo", "own")}),
    st.sampled_from([0.0, 1.0, 5.0, nan]),
    st.sampled_from(["", "", "", "source_down"]),
)
ticks = st.builds(
    Tick,
    st.integers(1, 60).map(float),
    arms,
    arms | st.none(),
    crashes=st.sampled_from([0, 0, 0, 0, 1, None]),
    gauges=st.sampled_from([{}, {"queue": (3.0, 2.0)}, {"queue": (nan, 2.0)}]),
    memory=st.sampled_from([{}, {"a": Memory(0.4, 100.0)}, {"a": Memory(None, None)}]),
    warming=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ticks, max_size=25), st.integers(0, 25))
def test_whoever_replays_the_written_ticks_gets_the_same_words(seen: list[Tick], cut: int) -> None:
    specs = rules()
    state, said = play(seen, specs)
    lines = [json.dumps(t.to_json(), allow_nan=False) for t in seen]
    replayed = [Tick.from_json(json.loads(line)) for line in lines]
    first, words = play(replayed[:cut], specs)
    stored = JudgeState.from_json(json.loads(json.dumps(first.to_json(), allow_nan=False)))
    assert stored == first
    resumed, rest = play(replayed[cut:], specs, state=stored)
    assert resumed == state
    assert words + rest == said


@settings(max_examples=100, deadline=None)
@given(st.lists(ticks, max_size=25))
def test_nothing_a_source_may_send_stops_the_judge(seen: list[Tick]) -> None:
    _, said = play(seen, rules(stage=EVERYBODY))
    for verdict in said:
        assert verdict.word in Word
        json.dumps([r.to_json() for r in verdict.readings], allow_nan=False)


# --- outages that both releases suffer


def outage(rate: float, seconds: int, start: int) -> list[Tick]:
    sick = [
        tick(float(t), arm(100, round(100 * rate)), arm(900, round(900 * rate))) for t in range(start, start + seconds)
    ]
    return [*healthy(start - 1), *sick]


def test_an_outage_of_both_is_not_the_new_releases_fault() -> None:
    _, said = play([*outage(0.3, 60, 31), *healthy(120, 91)])
    heard = [v.word for v in said]
    assert Word.ENV_UNHEALTHY in heard
    assert not {Word.REJECT, Word.ABSOLUTE, Word.BUDGET} & set(heard)
    assert heard[-1] is Word.ACCEPT


def test_a_release_that_stays_broken_after_the_outage_is_rejected() -> None:
    stays = [tick(float(t), arm(100, 30)) for t in range(61, 80)]
    _, said = play([*outage(0.3, 30, 31), *stays])
    assert said[-1].word is Word.REJECT


def test_an_outage_that_shows_on_the_new_release_first_waits_for_the_old_one() -> None:
    seldom = Stage(90, True, 10, 900)
    specs = rules(stage=seldom, stages=(seldom,))
    quiet = [tick(float(t), arm(18), arm(2)) for t in range(1, 41)]
    first = [tick(float(t), arm(18, 4), arm(2)) for t in range(41, 44)]
    state, said = play([*quiet, *first], specs)
    assert (said[-1].word, said[-1].reason) == (Word.CONTINUE, "suspect")
    _, said = play([tick(float(t), arm(18, 4), arm(2, 1)) for t in range(44, 50)], specs, state=state)
    assert said[-1].word is Word.ENV_UNHEALTHY


def test_who_suffers_alone_for_long_enough_is_at_fault() -> None:
    seldom = Stage(90, True, 10, 900)
    quiet = [tick(float(t), arm(18), arm(2)) for t in range(1, 41)]
    bad = [tick(float(t), arm(18, 1), arm(2)) for t in range(41, 140)]
    _, said = play([*quiet, *bad], rules(stage=seldom, stages=(seldom,)))
    assert said[-1].word in (Word.ABSOLUTE, Word.REJECT)


def test_without_an_old_release_nobody_else_can_be_to_blame() -> None:
    specs = rules(stage=EVERYBODY, stages=(EVERYBODY,))
    _, said = play([alone(1.0, arm(1000, 300))], specs)
    assert said[-1].word is Word.ABSOLUTE
