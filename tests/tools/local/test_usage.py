"""Processor time and memory of instances with their workers."""

import os
import time

import pytest

from soc_deploy_mcp.tools.local import proc, usage
from soc_deploy_mcp.tools.local.usage import Meter, Reading, cpu_ratio
from tests.tools.local.builders import instance, status

T = proc.TICKS_PER_S


def test_the_share_is_of_the_cores_it_may_use() -> None:
    old, new = Reading(10.0, {(1, 1): 100}), Reading(12.0, {(1, 1): 100 + 2 * T})
    assert cpu_ratio(old, new, 1) == pytest.approx(1.0)
    assert cpu_ratio(old, new, 4) == pytest.approx(0.25)


def test_new_workers_count_and_ended_ones_give_no_negative_share() -> None:
    old = Reading(10.0, {(1, 1): 0, (2, 5): 50 * T})
    new = Reading(11.0, {(1, 1): 0, (3, 9): T // 2})
    assert cpu_ratio(old, new, 1) == pytest.approx(0.5)


def test_a_number_given_to_another_process_is_another_process() -> None:
    assert cpu_ratio(Reading(0.0, {(1, 1): 90 * T}), Reading(1.0, {(1, 2): 0}), 1) == 0


def test_two_readings_at_one_moment_say_nothing() -> None:
    assert cpu_ratio(Reading(1.0, {}), Reading(1.0, {(1, 1): T}), 1) is None


def test_the_first_sample_knows_the_memory_and_not_yet_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "FRESH_S", 0.0)
    me = instance(status=status(pid=os.getsid(0)), memory_mb=1024)
    meter = Meter()
    first = meter.sample([me])[me.name]
    assert first.cpu_ratio is None
    assert first.memory_bytes
    assert first.memory_ratio == pytest.approx(first.memory_bytes / 2**30)
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    again = meter.sample([me])[me.name]
    assert again.cpu_ratio


def test_what_does_not_live_gives_no_sample() -> None:
    gone = [instance(alive=False), instance(21003, status=status(pid=2**22 + 1))]
    assert Meter().sample(gone) == {}


def test_samples_are_not_taken_more_often_than_they_are_worth() -> None:
    me = instance(status=status(pid=os.getsid(0)))
    meter = Meter()
    assert meter.sample([me]) is meter.sample([])


def test_the_memory_of_the_machine_is_the_last_base() -> None:
    assert usage.memory_limit() > 2**26
