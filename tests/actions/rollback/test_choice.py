"""Which release a rollback goes to, and what it says when there is none."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.actions.deploy.readers import Gathered, History
from soc_deploy_mcp.actions.rollback.gather import choose
from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.release import Release
from tests.actions.deploy.scene import target
from tests.actions.rollback.past import SETTINGS, Past, asked, in_the_past
from tests.engine.virtual import VirtualClock
from tests.fakes.platform import FakePlatform
from tests.fakes.readers import FINISHED, FakeReaders, release

SHOP, TWO = Known(services=("shop",)), Known(services=("shop", "cart"))


def refused(story: Callable[[Past], Awaitable[object]], code: str) -> DeployError:
    with pytest.raises(DeployError) as caught:
        in_the_past(story)
    assert caught.value.code == code
    return caught.value


def test_it_goes_to_the_last_stable_release_before_the_active_one() -> None:
    async def story(past: Past) -> Gathered:
        for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
            await past.deployed(version)
        return await past.gathered()

    seen = in_the_past(story)
    assert seen.new.version == "v1.1.0"
    assert seen.old is not None
    assert seen.old.version == "v1.2.0"
    assert seen.warnings == ()


def test_after_a_rollback_it_goes_further_back_and_never_to_what_was_left() -> None:
    async def story(past: Past) -> Gathered:
        for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
            await past.deployed(version)
        await past.gone_back("v1.1.0")
        return await past.gathered()

    assert in_the_past(story).new.version == "v1.0.0"


def test_without_a_release_before_it_every_candidate_is_named_with_its_rule() -> None:
    async def story(past: Past) -> Gathered:
        for version in ("v1.0.0", "v1.1.0"):
            await past.deployed(version)
        await past.gone_back("v1.0.0")
        return await past.gathered()

    error = refused(story, "E_NO_PREVIOUS")
    assert "v1.1.0: quarantined (rolled back from by hand)" in error.why
    assert "v1.0.0: is the active release" in error.why


def test_a_target_on_which_nothing_ran_says_so() -> None:
    async def story(past: Past) -> Gathered:
        return await past.gathered()

    error = refused(story, "E_NO_PREVIOUS")
    assert error.why == "no release finished here yet"


def test_a_release_whose_files_are_gone_is_passed_over() -> None:
    async def story(past: Past) -> Gathered:
        for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
            await past.deployed(version)
        past.readers.lost["v1.1.0"] = "its files are gone"
        return await past.gathered()

    assert in_the_past(story).new.version == "v1.0.0"


def test_a_contract_migration_closes_the_way_to_what_was_before_it() -> None:
    async def story(past: Past) -> Gathered:
        for version in ("v1.0.0", "v1.1.0"):
            await past.deployed(version)
        past.applied("0002_drop", "contract", after="v1.0.0")
        return await past.gathered()

    assert "migration 0002_drop (contract) was applied after it" in refused(story, "E_NO_PREVIOUS").why


def test_an_expand_migration_closes_nothing() -> None:
    async def story(past: Past) -> Gathered:
        for version in ("v1.0.0", "v1.1.0"):
            await past.deployed(version)
        past.applied("0002_add", "expand", after="v1.0.0")
        return await past.gathered()

    assert in_the_past(story).new.version == "v1.0.0"


# --- a release that was named


def test_a_quarantined_release_can_be_named_and_is_warned_of() -> None:
    async def story(past: Past) -> Gathered:
        for version in ("v1.0.0", "v1.1.0"):
            await past.deployed(version)
        await past.gone_back("v1.0.0")
        return await past.gathered("v1.1.0")

    seen = in_the_past(story)
    assert seen.new.version == "v1.1.0"
    assert seen.warnings == ("v1.1.0 is quarantined: rolled back from by hand",)


def test_a_release_that_never_ran_here_cannot_be_gone_back_to() -> None:
    async def story(past: Past) -> Gathered:
        await past.deployed("v1.0.0")
        past.readers.happened(past.release("v1.1.0"), "registered")  # failed before it had a request
        return await past.gathered("v1.1.0")

    error = refused(story, "E_NOT_IN_LINEAGE")
    assert parse(error.try_, SHOP).action == "deploy"


def test_naming_it_does_not_bring_files_back() -> None:
    async def story(past: Past) -> Gathered:
        for version in ("v1.0.0", "v1.1.0"):
            await past.deployed(version)
        past.readers.lost["v1.0.0"] = "its files are gone"
        return await past.gathered("v1.0.0", accept_schema_risk=True)

    assert "its files are gone" in refused(story, "E_ARTIFACT").what


def test_nor_those_of_a_release_that_was_never_stable() -> None:
    async def story(past: Past) -> Gathered:
        await past.deployed("v1.0.0")
        past.readers.happened(past.release("v1.1.0"), "registered", "live", "active", "retired", "quarantined")
        past.readers.happened(past.release("v1.0.0"), "active")
        past.readers.lost["v1.1.0"] = "its files are gone"
        return await past.gathered("v1.1.0")

    assert "its files are gone" in refused(story, "E_ARTIFACT").what


def test_the_schema_risk_must_be_accepted_by_its_flag() -> None:
    async def story(past: Past, **how: Any) -> Gathered:
        for version in ("v1.0.0", "v1.1.0"):
            await past.deployed(version)
        past.applied("0002_drop", "irreversible", after="v1.0.0")
        return await past.gathered("v1.0.0", **how)

    error = refused(story, "E_SCHEMA_RISK")
    assert parse(error.try_, SHOP).accept_schema_risk
    seen = in_the_past(lambda past: story(past, accept_schema_risk=True))
    assert seen.warnings == ("schema risk accepted: migration 0002_drop (irreversible) was applied after it",)


@pytest.mark.parametrize("version", [None, "v9.9.9", "v1.0.0"])
def test_what_an_error_says_to_type_also_works_in_a_project_with_several_services(version: str | None) -> None:
    async def story(past: Past) -> Gathered:
        await past.deployed("v1.0.0")
        past.readers.happened(past.release("v1.0.1"), "registered", "live", "active")
        past.readers.lost |= {"v1.0.0": "its files are gone"}
        return await past.gathered(version, service="shop")

    with pytest.raises(DeployError) as caught:
        in_the_past(story)
    for line in caught.value.try_.splitlines():
        words = line.removeprefix("soc-deploy ").split()
        if words[0] == "releases":
            assert words[1] == "shop/prod"
        else:
            assert parse(words, TWO).service == "shop"


# --- any past

_histories = st.lists(
    st.tuples(st.sampled_from(["good", "bad", "failed", "back"]), st.integers(0, 4)), min_size=1, max_size=12
)


def told(history: list[tuple[str, int]]) -> FakeReaders:
    """Rows as runs leave them: deploys that finish, are rolled back, or fail early, and rollbacks by hand."""
    readers = FakeReaders(FakePlatform(VirtualClock(None)))  # type: ignore[arg-type]
    for kind, number in history:
        made = release(f"v1.{number}.0", SETTINGS.spec)
        current = lin.fold(readers.rows).current
        match kind:
            case "good":
                readers.happened(made, *FINISHED)
            case "bad":
                readers.happened(made, "registered", "live", "active")
                if current is not None:
                    readers.happened(current.release, "active")
                readers.happened(made, "quarantined", why="REJECT errors")
            case "failed":
                readers.happened(made, "registered", "quarantined", why="E_EXITED_AT_START")
            case "back" if current is not None:
                folded = lin.fold(readers.rows)
                way = lin.previous_stable(folded, folded.active, lambda _: "", lambda _: "")
                if way.release is not None:
                    readers.happened(way.release, "live", "active")
                    readers.happened(current.release, "quarantined", why="by hand")
    return readers


def chosen(history: History, version: str | None, lost: dict[str, str]) -> tuple[Release | None, tuple[str, ...]]:
    """The choice and its warnings; None where there is none to make, which is said with the right code."""
    active = history.lineage.current
    try:
        return choose(asked(version), target(), history, active.release if active else None, lost)
    except DeployError as error:
        if error.code != ("E_NOT_IN_LINEAGE" if version else "E_NO_PREVIOUS"):
            raise
        return None, ()


def qualifies(life: lin.Life, lineage: lin.Lineage, lost: dict[str, str]) -> bool:
    """The rules of the design, once more and in other words."""
    here = lineage.current
    if life.stable_position is None or life.quarantined or life.release.slug in lost:
        return False
    if here is None:
        return True
    before = here.stable_position is None or life.stable_position < here.stable_position
    return life.release.slug != here.release.slug and before


@examples(max_examples=300, deadline=None)
@given(_histories, st.sets(st.integers(0, 4)))
def test_whatever_happened_before_the_newest_release_that_keeps_all_rules_is_chosen(
    history: list[tuple[str, int]], gone: set[int]
) -> None:
    lineage = lin.fold(told(history).rows)
    lost = {str(life.release.slug): "gone" for life in lineage.lives.values() if int(life.release.version[3]) in gone}
    found, _ = chosen(History(lineage, {}), None, lost)
    fit = [life for life in lineage.lives.values() if qualifies(life, lineage, lost)]
    newest = max(fit, key=lambda life: life.stable_position or 0, default=None)
    assert found == (newest.release if newest else None)


@examples(max_examples=300, deadline=None)
@given(_histories, st.integers(0, 4))
def test_a_named_release_is_one_that_had_users_and_its_flaws_are_told(
    history: list[tuple[str, int]], number: int
) -> None:
    lineage = lin.fold(told(history).rows)
    found, warnings = chosen(History(lineage, {}), f"v1.{number}.0", {})
    ran = [life for life in lineage.lives.values() if life.release.version == f"v1.{number}.0" and life.became_active]
    assert (found is None) is (not ran)
    if found is None:
        return
    life = lineage.lives[found.slug]
    assert bool(life.quarantined) is any("quarantined" in warning for warning in warnings)
    assert (life.became_stable is None) is any("never stable" in warning for warning in warnings)
