"""Which release is "previous", and why the others are not."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.actions.deploy.migrations import Applied, MigrationRan, changed, due, fold, left_alone, risk_after
from soc_deploy_mcp.core.config.service import Migration
from soc_deploy_mcp.core.event import GENESIS, LineageChanged, Record
from soc_deploy_mcp.core.ids import Epoch, Instant, RunId
from soc_deploy_mcp.core.release import Release
from tests.actions.deploy.scene import release, settings

SPEC = settings().spec


def made(version: str) -> Release:
    return release(version, SPEC)


def told(*changes: tuple[str, str]) -> lin.Lineage:
    """(what happened, to which version), in order."""
    clock = count(1)
    rows = []
    for what, version in changes:
        at = next(clock)
        record = Record(
            seq=at, run=RunId("run_1"), epoch=Epoch(1), at=Instant(float(at)), kind="lineage", key="", payload={},
            prev_hash=GENESIS, hash="",
        )  # fmt: skip
        rows.append((record, LineageChanged(change=what, release=made(version))))  # type: ignore[arg-type]
    return lin.fold(rows)


def deployed(version: str) -> tuple[tuple[str, str], ...]:
    return (("registered", version), ("live", version), ("active", version), ("stable", version))


def previous(lineage: lin.Lineage, lost: dict[str, str] | None = None, risky: str = "") -> str | None:
    way = lin.previous_stable(
        lineage,
        lineage.active,
        lambda r: (lost or {}).get(r.version, ""),
        lambda life: "a contract migration" if life.release.version == risky else "",
    )
    return way.release.version if way.release else None


def test_the_release_before_the_active_one() -> None:
    assert previous(told(*deployed("v1.0.0"), *deployed("v1.1.0"))) == "v1.0.0"


def test_a_first_release_has_nothing_before_it() -> None:
    assert previous(told(*deployed("v1.0.0"))) is None


def test_a_release_that_never_became_stable_is_not_gone_back_to() -> None:
    lineage = told(*deployed("v1.0.0"), ("registered", "v1.1.0"), ("live", "v1.1.0"), *deployed("v1.2.0"))
    assert previous(lineage) == "v1.0.0"


def test_after_a_rollback_the_answer_is_what_preceded_never_back_and_forth() -> None:
    """B was rolled back from to A: a further rollback goes to what came before A."""
    lineage = told(
        *deployed("v1.0.0"), *deployed("v1.1.0"), *deployed("v1.2.0"), ("active", "v1.1.0"), ("quarantined", "v1.2.0")
    )
    assert lineage.active == made("v1.1.0").slug
    assert previous(lineage) == "v1.0.0"


def test_a_rollback_over_two_releases_does_not_come_forward_again() -> None:
    lineage = told(
        *deployed("v1.0.0"), *deployed("v1.1.0"), *deployed("v1.2.0"), ("active", "v1.0.0"), ("quarantined", "v1.2.0")
    )
    assert previous(lineage) is None
    refused = {c.version: c.refused for c in lin.previous_stable(lineage, lineage.active, str, str).candidates}
    assert refused["v1.1.0"].startswith("came after")
    assert refused["v1.2.0"].startswith("quarantined")


def test_a_rollback_does_not_mark_stable_again() -> None:
    lineage = told(*deployed("v1.0.0"), *deployed("v1.1.0"), ("active", "v1.0.0"))
    assert lineage.lives[made("v1.0.0").slug].became_stable == 4.0


def test_deploying_an_old_version_again_makes_it_the_newest() -> None:
    assert previous(told(*deployed("v1.0.0"), *deployed("v1.1.0"), *deployed("v1.0.0"))) == "v1.1.0"


def test_deploying_a_quarantined_release_by_name_ends_its_quarantine() -> None:
    lineage = told(*deployed("v1.0.0"), ("registered", "v1.1.0"), ("quarantined", "v1.1.0"), ("registered", "v1.1.0"))
    assert lineage.lives[made("v1.1.0").slug].quarantined == ""


def test_files_that_are_gone_and_schema_risk_are_passed_over() -> None:
    lineage = told(*deployed("v1.0.0"), *deployed("v1.1.0"), *deployed("v1.2.0"), *deployed("v1.3.0"))
    assert previous(lineage, lost={"v1.2.0": "its files are gone"}) == "v1.1.0"
    assert previous(lineage, lost={"v1.2.0": "gone"}, risky="v1.1.0") == "v1.0.0"


def test_a_name_overrides_what_a_name_may() -> None:
    lineage = told(*deployed("v1.0.0"), ("registered", "v1.1.0"), ("live", "v1.1.0"), ("active", "v1.1.0"))
    life, refused, warnings = lin.named(lineage, "v1.1.0", str_none, str_none, accept_schema_risk=False)
    assert life is not None
    assert refused == ""
    assert warnings == ("v1.1.0 was never stable on this target",)
    assert lin.named(lineage, "v9.0.0", str_none, str_none, accept_schema_risk=False)[0] is None
    _, refused, _ = lin.named(lineage, "v1.0.0", lambda r: "gone", str_none, accept_schema_risk=True)
    assert refused == "gone"
    risky = lin.named(lineage, "v1.0.0", str_none, lambda life: "contract", accept_schema_risk=False)
    assert risky[1] == "contract"
    assert lin.named(lineage, "v1.0.0", str_none, lambda life: "contract", accept_schema_risk=True)[1] == ""


def str_none(_: object) -> str:
    return ""


_changes = st.tuples(
    st.sampled_from(["registered", "live", "active", "stable", "retired", "quarantined"]),
    st.sampled_from(["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"]),
)


@given(st.lists(_changes, max_size=30))
def test_whatever_happened_the_previous_release_was_stable_is_another_and_is_not_quarantined(
    changes: list[tuple[str, str]],
) -> None:
    lineage = told(*changes)
    way = lin.previous_stable(lineage, lineage.active, str_none, str_none)
    if way.release is None:
        return
    life = lineage.lives[way.release.slug]
    assert life.stable_position is not None
    assert not life.quarantined
    assert way.release.slug != lineage.active


# --- migrations


def migration(id_: str, class_: str = "expand") -> Migration:
    return Migration.model_validate({"id": id_, "class": class_, "run": ["true"]})


def test_expand_and_data_migrations_run_once_and_others_never_inside_a_rollout() -> None:
    declared = (migration("1"), migration("2", "data"), migration("3", "contract"), migration("4", "irreversible"))
    applied = {"1": Applied("1", "expand", "sum", Instant(1.0))}
    assert [m.id for m in due(declared, {})] == ["1", "2"]
    assert [m.id for m in due(declared, applied)] == ["2"]
    assert [m.id for m in left_alone(declared, applied)] == ["3", "4"]


def test_a_migration_without_a_class_counts_as_contract() -> None:
    assert Migration.model_validate({"id": "1", "run": ["true"]}).class_ == "contract"


def test_a_changed_migration_is_noticed_and_a_failed_one_is_not_applied() -> None:
    def ran(id_: str, code: int) -> Record:
        body = MigrationRan(id=id_, class_="expand", checksum="old", seconds=1.0, exit_code=code).to_json()
        return Record(
            seq=1, run=RunId("run_1"), epoch=Epoch(1), at=Instant(5.0), kind="migration", key="", payload=body,
            prev_hash=GENESIS, hash="",
        )  # fmt: skip

    applied = fold([ran("1", 0), ran("2", 1)])
    assert set(applied) == {"1"}
    assert changed((migration("1"), migration("2")), applied, {"1": "new", "2": "new"}) == ("1",)
    assert changed((migration("1"),), applied, {"1": "old"}) == ()


@pytest.mark.parametrize(
    ("class_", "risk"), [("expand", False), ("data", False), ("contract", True), ("irreversible", True)]
)
def test_only_contract_and_irreversible_migrations_bar_the_way_back(class_: str, risk: bool) -> None:
    life = told(*deployed("v1.0.0")).lives[made("v1.0.0").slug]
    later = {"7": Applied("7", class_, "sum", Instant(100.0))}
    earlier = {"7": Applied("7", class_, "sum", Instant(0.5))}
    assert bool(risk_after(life, later)) is risk
    assert risk_after(life, earlier) == ""
