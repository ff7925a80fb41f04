"""Without --auto-approve a release to prod waits for a person; what was approved is what runs, once."""

from pathlib import Path

from tests.e2e.conftest import Make
from tests.support.product import LENIENT, Product, deploying

V1_1 = tuple(word for word in deploying("v1.1.0") if word != "--auto-approve")


def assert_untouched(shop: Product) -> None:
    """v1.0.0 serves and nothing else was even started."""
    assert shop.answered_by() == "v1.0.0"
    assert [name.rpartition("-")[0] for name in shop.releases_on_disk()] == ["v1_0_0"]
    assert len(shop.instances()) == 2


def test_a_release_waits_and_goes_on_with_the_yes(shop: Product) -> None:
    asked = shop.do(*V1_1)
    assert asked.exit == 10, asked
    assert "NOT DEPLOYED" in asked.err
    assert f"soc-deploy approve {asked.run}" in asked.err
    assert "UNGOVERNED" in asked.err
    assert_untouched(shop)
    assert shop.report(asked.run).status == "⏳ WAITING FOR APPROVAL"

    yes = shop.do("approve", asked.run)
    assert yes.exit == 0, yes
    ended = shop.do("status", asked.run, "--watch", "--plain")
    assert (ended.exit, ended.status) == (0, "✅ SUCCESS"), ended
    assert ended.field("Approval").startswith("A0, terminal")
    assert shop.answered_by() == "v1.1.0"

    again = shop.do("approve", asked.run)
    assert again.exit == 1, again
    assert "is over" in again.err
    assert "SUCCEEDED" in again.err


def test_a_no_ends_it_and_users_saw_nothing(shop: Product) -> None:
    run = shop.do(*V1_1).run
    without = shop.do("reject", run)
    assert without.exit == 64, "a no has a reason"
    no = shop.do("reject", run, "--reason", "not before the holidays")
    assert no.exit == 0, no
    ended = shop.do("status", run, "--watch", "--plain")
    assert (ended.exit, ended.status) == (2, "❌ FAILED"), ended
    assert "not before the holidays" in ended.out
    assert_untouched(shop)
    assert shop.do("approve", run).exit == 1, "it is over"


def test_a_yes_is_void_when_the_target_changed_meanwhile(shop: Product) -> None:
    waits = shop.do(*V1_1).run
    other = shop.deploy("v1.3.0", "--strategy", "blue-green")
    assert other.exit == 0, other
    shop.do("approve", waits)
    ended = shop.do("status", waits, "--watch", "--plain")
    assert ended.exit == 2, ended
    assert "E_APPROVAL_BASELINE" in ended.out
    assert shop.answered_by() == "v1.3.0"


def test_an_abort_while_it_waits_is_a_no(shop: Product) -> None:
    run = shop.do(*V1_1).run
    assert shop.do("abort", run).exit == 0
    assert shop.wait(run)["state"] == "FAILED_NO_CHANGE"
    assert_untouched(shop)


def test_what_a_dry_run_shows_is_what_runs(make: Make, tmp_path: Path) -> None:
    shop = make(LENIENT)
    shop.first()
    dry = shop.do(*deploying("v1.1.0", "--strategy", "canary", "--dry-run"))
    assert (dry.exit, dry.status) == (0, "DRY RUN (nothing executed)"), dry
    assert_untouched(shop)
    real = shop.begin("v1.1.0", "--strategy", "canary")
    shop.wait_weight(real, 50)
    assert shop.view(dry.run)["plan_hash"] == shop.view(real)["plan_hash"]
    shop.do("abort", real)
    shop.wait(real)
