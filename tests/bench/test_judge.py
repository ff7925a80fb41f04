"""The judge's bench itself: its intervals, and which answers it keeps."""

from math import inf
from pathlib import Path

import pytest
from scipy import stats

from bench import _judge_answers
from bench._judge_answers import Answers, fingerprint
from bench._judge_cases import held_at, promoted_within, questions, until_promoted, until_stopped
from bench._judge_figures import Quantile, Share, UpperEnd, finite, wilson
from soc_deploy_mcp.actions.deploy.judge import Word
from tests.actions.judge.simulate import Case, Outcome, World


def ended(word: Word, at_s: float, stage: int = 0) -> Outcome:
    return Outcome(word, "", "", at_s, stage, 0, 0.0, (), frozenset({word}))


@pytest.mark.parametrize(("hits", "runs"), [(0, 1000), (1, 40), (37, 1000), (1000, 1000)])
def test_the_interval_of_a_share_is_wilsons(hits: int, runs: int) -> None:
    wanted = stats.binomtest(hits, runs).proportion_ci(0.95, "wilson")
    assert wilson(hits, runs) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_a_release_that_is_held_is_never_promoted() -> None:
    outcomes = [ended(Word.ACCEPT, 480.0)] * 6 + [ended(Word.HOLD, 100.0, 2)] * 4
    assert until_promoted(0.5).of(outcomes) == 480.0
    assert until_promoted(0.9).of(outcomes) == inf
    assert finite(until_promoted(0.9).of(outcomes)) is None
    assert held_at(2).of(outcomes) == 0.4
    assert promoted_within(479).of(outcomes) == 0.0


def test_the_time_of_a_late_regression_counts_from_its_start() -> None:
    outcomes = [ended(Word.REJECT, 620.0), ended(Word.REJECT, 630.0), ended(Word.HOLD, 900.0)]
    assert until_stopped(0.5, 600.0).of(outcomes) == 30.0
    assert until_stopped(0.99, 600.0).of(outcomes) == inf


def test_the_interval_of_a_median_holds_it_and_shrinks() -> None:
    ends = []
    for runs in (100, 10_000):
        outcomes = [ended(Word.ACCEPT, float(i)) for i in range(runs)]
        low, high = Quantile(lambda o: o.at_s, 0.5).interval(outcomes)
        assert low < runs / 2 < high
        assert stats.binom.cdf(high, runs, 0.5) - stats.binom.cdf(low - 1, runs, 0.5) >= 0.95
        ends.append((high - low) / runs)
    assert ends[1] < ends[0] / 5


def test_a_goal_on_a_small_share_is_held_against_its_upper_end() -> None:
    none = [ended(Word.ACCEPT, 1.0)] * 100
    assert UpperEnd(Share(lambda o: o.word is Word.REJECT)).of(none) > 0.03


def test_an_answer_is_kept_for_the_same_question_alone(tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    asked = fingerprint(Case(World()), 1000)
    Answers(file).put("one", {"fingerprint": asked, "runs": 1000})
    assert Answers(file).get("one", asked) == {"fingerprint": asked, "runs": 1000}
    assert Answers(file).get("one", fingerprint(Case(World(rps=20)), 1000)) is None
    assert Answers(file).get("one", fingerprint(Case(World()), 100)) is None
    assert Answers(file).get("two", asked) is None


def test_parts_that_run_at_the_same_time_add_up(tmp_path: Path) -> None:
    one, two = Answers(tmp_path / "answers.json"), Answers(tmp_path / "answers.json")
    one.put("one", {"fingerprint": "a"})
    two.put("two", {"fingerprint": "b"})
    assert Answers(tmp_path / "answers.json").get("one", "a")
    assert Answers(tmp_path / "answers.json").get("two", "b")


def test_other_rules_are_other_answers_and_other_comments_are_not(tmp_path: Path) -> None:
    source = tmp_path / "rule.py"
    said = []
    for text in ('"""Why."""\nK = 2\n', '"""Why not."""\nK = 2  # pairs\n', '"""Why."""\nK = 3\n'):
        source.write_text(text)
        said.append(_judge_answers._said(source))
    assert said[0] == said[1] != said[2]


def test_no_two_questions_share_a_name() -> None:
    names = [question.name for question in questions()]
    assert len(set(names)) == len(names)
