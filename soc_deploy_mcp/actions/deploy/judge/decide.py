"""The judge's word. The rules are tried from top to bottom; the first that applies wins."""

from collections.abc import Callable
from math import log
from typing import NamedTuple

from soc_deploy_mcp.actions.deploy.judge.readings import accepted, cost, readings
from soc_deploy_mcp.actions.deploy.judge.state import JudgeState, MetricState
from soc_deploy_mcp.actions.deploy.judge.types import MetricSpec, Specs, StepInfo, Verdict, Word

SILENCE_S = 30.0  # without a request for so long, and for ten expected ones, there is no traffic
_EXPECTED = 10.0
_UNHEARD = 9.0  # nats over all ticks: a live release is called silent in one rollout of eight thousand at most
_FIRST_ANSWER_S = 5.0  # after the start of a step, in which nobody is called silent
_SIGMAS = 4.0  # chance that a cost cap must leave room for


class _Said(NamedTuple):
    word: Word
    reason: str = ""
    metric: str = ""
    since: float | None = None


_Rule = Callable[[JudgeState, Specs, StepInfo, float], _Said | None]


def verdict(state: JudgeState, specs: Specs, step: StepInfo, now: float) -> Verdict:
    """What is known now. `now` is the time of the last tick, or later when ticks fail to come."""
    said = next(said for rule in _RULES if (said := rule(state, specs, step, now)))
    return Verdict(*said, readings=readings(state, specs), cost=cost(state, specs))


def _crash(state: JudgeState, specs: Specs, step: StepInfo, now: float) -> _Said | None:
    return _Said(Word.CRASH, "instance_exited") if state.crashes else None


def _convicted(word: Word) -> _Rule:
    def rule(state: JudgeState, specs: Specs, step: StepInfo, now: float) -> _Said | None:
        latch = state.latch
        return _Said(word, latch.reason, latch.metric) if latch is not None and latch.word is word else None

    return rule


def _suffering(state: JudgeState, specs: Specs, step: StepInfo, now: float) -> _Said | None:
    return _Said(Word.ENV_UNHEALTHY, "both_releases", state.suffering) if state.suffering else None


def _suspect(state: JudgeState, specs: Specs, step: StepInfo, now: float) -> _Said | None:
    return _Said(Word.CONTINUE, "suspect", state.suspect) if state.suspect else None


def _too_expensive(state: JudgeState, specs: Specs, step: StepInfo, now: float) -> _Said | None:
    spent, users = cost(state, specs), specs.users
    if spent.cap is None or users is None:
        return None
    # Up to a ratio of r0 a release is as good as the old one, by agreement; and chance costs nothing.
    usual = max(state.metrics[users.name].run.x_c - spent.excess, 0.0)
    over = spent.excess - (users.r0 - 1) * usual
    return _Said(Word.BUDGET, "cost_cap", users.name) if over > spent.cap + _SIGMAS * spent.noise else None


def _no_data(state: JudgeState, specs: Specs, step: StepInfo, now: float) -> _Said | None:
    # Answers are counted, and a slow release is not a silent one: its first answers come later than the old one's.
    if state.unheard >= _UNHEARD + log(state.planned) and now - step.started_at >= _FIRST_ANSWER_S:
        return _Said(Word.NO_DATA, "canary_silent", since=now)
    if state.at is None or now - state.at > specs.max_age_s:
        return _Said(Word.NO_DATA, "no_tick", since=step.started_at if state.at is None else state.at)
    if state.blind_since is not None:
        return _Said(Word.NO_DATA, "instances_unknown", since=state.blind_since)
    for spec in specs.metrics:
        # Users' requests are never unwatched, not even where probes decide about acceptance.
        if (spec.required or spec is specs.users) and (m := state.metrics[spec.name]).gap:
            return _Said(Word.NO_DATA, m.gap, spec.name, m.gap_since)
    if now - step.started_at < step.max_s and (since := _no_traffic_since(state, specs)) is not None:
        return _Said(Word.NO_DATA, "no_traffic", since=since)
    return None


def _acceptance(state: JudgeState, specs: Specs, step: StepInfo, now: float) -> _Said:
    """ACCEPT when nothing is missing, HOLD when the time is over, else what is still missing."""
    missing = _missing(state, specs, step, now)
    if missing is None:
        return _Said(Word.ACCEPT)
    over = now - step.started_at >= step.max_s
    return missing._replace(word=Word.HOLD) if over else missing


_RULES: tuple[_Rule, ...] = (
    _crash,
    _convicted(Word.REJECT),
    _convicted(Word.ABSOLUTE),
    _suffering,
    _too_expensive,
    _no_data,
    _suspect,
    _acceptance,
)


def _missing(state: JudgeState, specs: Specs, step: StepInfo, now: float) -> _Said | None:
    """What still stands between this step and ACCEPT; None: nothing."""
    deciding = _deciding(state, specs)
    if not deciding:
        return _Said(Word.CONTINUE, "nothing_required")
    for spec in deciding:
        m = state.metrics[spec.name]
        if not accepted(m, specs):
            return _Said(Word.CONTINUE, "not_accepted", spec.name)
        least = min(m.step.n_c, m.step.n_b) if specs.concurrent else m.step.n_c
        if least < step.min_samples:  # R11: of both, where there are two
            return _Said(Word.CONTINUE, "min_samples", spec.name)
        # An acceptance holds only in the tick that shows it.
        if not m.counted or state.repeated:
            return _Said(Word.CONTINUE, "no_request_in_this_tick", spec.name)
    if now - step.started_at < step.min_s:
        return _Said(Word.CONTINUE, "min_duration")
    return None


def _deciding(state: JudgeState, specs: Specs) -> list[MetricSpec]:
    """The required metrics. Users who are gone are not waited for when there are probes, which then speak for them."""
    if not specs.probed or specs.users is None or not _silent(state, specs, specs.users):
        return [m for m in specs.metrics if m.required]
    absent = {m.name for m in specs.metrics if m.required and not m.synthetic and _excused(state, specs, m)}
    return [m for m in specs.metrics if (m.required and m.name not in absent) or (m.synthetic and absent)]


def _excused(state: JudgeState, specs: Specs, spec: MetricSpec) -> bool:
    """Probes stand in for evidence that cannot come any more, never against what users met in this step."""
    m = state.metrics[spec.name]
    return _silent(state, specs, spec) and (_unvisited(m) or m.ln_safe >= 0)


def _silent(state: JudgeState, specs: Specs, spec: MetricSpec) -> bool:
    """Nobody asked either release in this step, or not for so long that there is no traffic."""
    m = state.metrics[spec.name]
    return _unvisited(m) or _too_long_ago(_asked(m, specs), state, specs) is not None


def _unvisited(m: MetricState) -> bool:
    return m.step.n_c == 0 and m.step.n_b == 0


def _no_traffic_since(state: JudgeState, specs: Specs) -> float | None:
    """When the last request that could decide came, if that is too long ago."""
    asked = [at for spec in _deciding(state, specs) for at in _asked(state.metrics[spec.name], specs)]
    return _too_long_ago(asked, state, specs)


def _too_long_ago(asked: list[float], state: JudgeState, specs: Specs) -> float | None:
    if not asked or state.at is None:
        return None
    limit = max(SILENCE_S, _EXPECTED / specs.rps if specs.rps else SILENCE_S)
    return max(asked) if state.at - max(asked) >= limit else None


def _asked(m: MetricState, specs: Specs) -> list[float]:
    arms = (m.asked_c, m.asked_b) if specs.concurrent else (m.asked_c,)
    return [at for at in arms if at is not None]
