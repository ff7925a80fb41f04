"""The strategies as data: whatever the settings, the steps keep capacity before traffic and traffic before removal."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.actions.deploy.strategies import PlanContext, steps
from soc_deploy_mcp.actions.deploy.strategies.rolling import share, sizes
from soc_deploy_mcp.core import plan as p
from soc_deploy_mcp.core.config import STRATEGIES, Settings, Strategy
from soc_deploy_mcp.core.config.service import Migration
from tests.actions.deploy.scene import release, settings

EXPAND = Migration.model_validate({"id": "add", "class": "expand", "run": ["true"]})
LATE = Migration.model_validate({"id": "late", "class": "expand", "run": ["true"], "when": "before_switch"})
DATA = Migration.model_validate({"id": "fill", "class": "data", "run": ["true"]})


def context(
    instances: int = 3, *, first: bool = False, base: Settings | None = None, migrations: tuple[Migration, ...] = ()
) -> PlanContext:
    chosen = base or settings()
    spec = chosen.spec.model_copy(update={"instances": instances})
    old = None if first else release("v1.0.0", spec)
    return PlanContext(new=release("v1.1.0", spec), old=old, settings=chosen, migrations=migrations)


def ops(strategy: Strategy, ctx: PlanContext) -> list[p.Op]:
    return [op for step in steps(strategy, ctx) for op in step.ops]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rows_are_those_of_the_report(strategy: Strategy) -> None:
    rows = [step.row for step in steps(strategy, context(2))]
    expected = {
        "blue-green": [
            "Provision green environment",
            "Deploy v1.1.0 to green",
            "Run smoke tests",
            "Measure v1.0.0",
            "Switch traffic (blue→green)",
            "Verify production health",
            "Decommission blue",
        ],
        "canary": [
            "Start canary v1.1.0",
            "Run smoke tests",
            "Measure v1.0.0",
            "Canary 10 %",
            "Canary 50 %",
            "Shift to 100 %",
            "Verify production health",
            "Retire v1.0.0",
        ],
        "rolling": [
            "Provision v1.1.0",
            "Measure v1.0.0",
            "Replace instance 1/2",
            "Replace instance 2/2",
            "Verify production health",
        ],
        "recreate": [
            "Provision v1.1.0",
            "Measure v1.0.0",
            "Stop v1.0.0",
            "Start v1.1.0",
            "Run smoke tests",
            "Verify production health",
        ],
    }
    assert rows == expected[strategy]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_measuring_the_old_release_is_a_row_of_its_own_before_anything_users_notice(strategy: Strategy) -> None:
    """It takes seconds: counted in another row they would read as a slow switch, or as downtime."""
    made = steps(strategy, context(2))
    (place,) = [number for number, step in enumerate(made) if p.Baseline() in step.ops]
    assert made[place].ops == (p.Baseline(),)
    assert not any(isinstance(op, p.Shift) for step in made[:place] for op in step.ops)
    assert isinstance(
        next(op for op in made[place + 1].ops if not isinstance(op, p.Ensure | p.Settle | p.SmokeTest)), p.Shift
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_first_release_is_the_same_walk_whatever_the_strategy(strategy: Strategy) -> None:
    rows = [step.row for step in steps(strategy, context(first=True))]
    assert rows == [
        "Provision environment",
        "Deploy v1.1.0",
        "Run smoke tests",
        "Switch traffic (to v1.1.0)",
        "Verify production health",
    ]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_migrations_stand_where_they_belong(strategy: Strategy) -> None:
    made = steps(strategy, context(migrations=(EXPAND, LATE, DATA)))
    keys = [step.key for step in made]
    assert keys[0] == "migrate/add"
    weight = next(i for i, s in enumerate(made) if any(isinstance(o, p.Shift) and o.new for o in s.ops))
    assert keys.index("migrate/late") < weight
    assert keys.index("migrate/fill") > next(i for i, s in enumerate(made) if s.key == "verify")
    fill = next(op for step in made for op in step.ops if isinstance(op, p.Migrate) and op.id == "fill")
    assert not fill.needed


instances = st.integers(1, 12)
surges = st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda pair: sum(pair) > 0)
shares = st.lists(st.integers(1, 99), max_size=5, unique=True).map(lambda s: (*sorted(s), 100))


@given(st.sampled_from(STRATEGIES), instances, surges, shares, st.booleans())
def test_capacity_before_traffic_and_traffic_before_removal(
    strategy: Strategy, n: int, surge: tuple[int, int], steps_: tuple[int, ...], first: bool
) -> None:
    """I2, R5, R6: a share is asked for only when its instances were ensured; the old side shrinks only behind it."""
    base = settings()
    deploy = base.deploy.model_copy(
        update={
            "canary": base.deploy.canary.model_copy(update={"steps": steps_}),
            "rolling": base.deploy.rolling.model_copy(update={"max_surge": surge[0], "max_unavailable": surge[1]}),
        }
    )
    ctx = context(n, first=first, base=base.model_copy(update={"deploy": deploy}))
    new, old, weight, held = 0, 0 if first else n, 0, False
    for op in ops(strategy, ctx):
        match op:
            case p.Ensure(side="new", instances=count):
                new = count
            case p.Ensure(side="old", instances=count):
                lost = n - old + (old - count)
                needed = round((100 - weight) * n / 100)  # a third of the requests is 33 %
                assert held or weight == 100 or count >= needed - max(1, surge[1]), lost
                old = count
            case p.Shift(new=share_, hold=hold):
                weight, held = share_, hold
                assert hold or share_ == 0 or new * 100 >= share_ * n - 99, "traffic without capacity"
                assert first or hold or share_ == 100 or old > 0
            case p.Remove(side="old") | p.Drain(side="old"):
                assert weight == 100 or held, "the old side goes while users are on it"
            case _:
                pass
    assert weight == 100


@given(st.sampled_from(STRATEGIES), instances, st.booleans())
def test_every_step_has_a_deadline_a_verification_and_an_undo_and_a_key_of_its_own(
    strategy: Strategy, n: int, first: bool
) -> None:
    made = steps(strategy, context(n, first=first, migrations=(EXPAND, LATE, DATA)))
    assert len({step.key for step in made}) == len(made)
    assert all(step.deadline_s > 0 and step.verification and step.undo for step in made)


@given(st.sampled_from(STRATEGIES), instances, st.booleans())
def test_nothing_becomes_stable_before_it_was_verified_and_baked(strategy: Strategy, n: int, first: bool) -> None:
    kinds = [op.kind for op in ops(strategy, context(n, first=first))]
    stable = kinds.index("stable")
    assert kinds.index("verify") < kinds.index("bake") < stable
    assert kinds.count("stable") == 1


@given(st.sampled_from(["blue-green", "canary"]), instances)
def test_the_way_back_is_one_write_until_the_end_of_the_window(strategy: Strategy, n: int) -> None:
    """The old release keeps all its instances, and the dead-man timer is on, until verification has passed."""
    found = ops(strategy, context(n))
    before_bake = found[: [op.kind for op in found].index("bake")]
    assert not any(isinstance(op, (p.Ensure, p.Drain, p.Remove)) and op.side == "old" for op in before_bake)
    assert all(op.dead_man for op in before_bake if isinstance(op, p.Shift))


@given(st.sampled_from(["blue-green", "canary", "recreate"]), instances)
def test_the_baseline_is_measured_before_the_first_weight(strategy: Strategy, n: int) -> None:
    kinds = [op.kind for op in ops(strategy, context(n))]
    assert kinds.index("baseline") < kinds.index("shift")


@given(st.integers(1, 60), surges)
def test_batches_replace_every_instance_once(n: int, surge: tuple[int, int]) -> None:
    batches = list(sizes(n, *surge))
    assert sum(batches) == n
    assert max(batches) <= (surge[0] or surge[1])


@given(st.integers(1, 60))
def test_shares_rise_and_are_never_ahead_of_the_instances(n: int) -> None:
    rising = [share(k, n) for k in range(n + 1)]
    assert rising[0] == 0
    assert rising[-1] == 100
    assert all(a <= b for a, b in pairwise(rising))
    assert all(rising[k] * n <= 100 * k for k in range(n + 1))
