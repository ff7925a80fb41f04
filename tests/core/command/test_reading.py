"""Lines that are right: every example of the specification, and every row of the tables of words."""

import pytest

from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.request import Request

SHOP = Known(services=("shop",))
TWO = Known(aliases={"live": "prod"}, services=("shop", "Cart"), stacks=("edge",))


def request(action, **fields):
    return Request(action=action, **fields)


DEPLOY = request("deploy", environment="prod", version="v2.1.0", service="shop")
BACK = request("rollback", environment="prod", version="v2.0.8", service="shop")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "/soc-deploy production --action deploy --version v2.1.0 --strategy blue-green --auto-rollback",
            DEPLOY.model_copy(update={"strategy": "blue-green", "auto_rollback": True}),
        ),
        ("/soc-deploy prod --action deploy --version v2.1.0", DEPLOY),
        ("soc-deploy prod --action deploy --version v2.1.0", DEPLOY),
        ("prod --action deploy --version v2.1.0", DEPLOY),
        (
            "/soc-deploy v2.1.0 --action deploy --environment staging",
            DEPLOY.model_copy(update={"environment": "staging"}),
        ),
        ("/soc-deploy production --action rollback --version v2.0.8", BACK),
        ("/soc-deploy rollback --environment prod --version v2.0.8", BACK),
        ("/soc-deploy production --action rollback", BACK.model_copy(update={"version": None})),
        (
            '/soc-deploy "staging-infrastructure" --action provision --provider aws --region us-east-1',
            request("provision", environment="staging", stack="default", provider="aws", region="us-east-1"),
        ),
        (
            '/soc-deploy "ci-cd" --action pipeline --provider github-actions',
            request("pipeline", provider="github-actions"),
        ),
        ("/soc-deploy production --action monitor --dry-run", request("monitor", environment="prod", service="shop")),
    ],
)
def test_the_documented_examples(line, expected):
    seen = parse(line, SHOP)
    assert seen == expected.model_copy(update={"dry_run": "--dry-run" in line})


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        *((word, {"environment": "dev"}) for word in ("dev", "development", "DEV")),
        *((word, {"environment": "staging"}) for word in ("staging", "stage", "Staging")),
        *((word, {"environment": "prod"}) for word in ("prod", "production", "PRODUCTION", "live", "Live")),
        ("shop", {"service": "shop"}),
        ("cart", {"service": "Cart"}),
        ("edge", {"stack": "edge", "service": None}),
        ("infrastructure", {"stack": "default", "service": None}),
        ("infra", {"stack": "default", "service": None}),
        ("staging-infrastructure", {"environment": "staging", "stack": "default", "service": None}),
        ("infrastructure-production", {"environment": "prod", "stack": "default", "service": None}),
        ("edge-live", {"environment": "prod", "stack": "edge", "service": None}),
        ("shop-prod", {"environment": "prod", "service": "shop"}),
        ("dev-Cart", {"environment": "dev", "service": "Cart"}),
    ],
)
def test_what_a_target_means(word, fields):
    more = "" if {"service", "stack"} & fields.keys() else " --service shop"
    seen = parse(f"{word} --action monitor{more}", TWO)
    assert seen == request("monitor", **({} if "service" in fields else {"service": "shop"}), **fields)


@pytest.mark.parametrize("word", ["v2.1.0", "2.1.0", "V2.1.0", "refs/tags/v2.1.0", "refs/tags/2.1.0"])
def test_every_spelling_of_a_version_is_one(word):
    for line in (f"{word} --action deploy --environment prod", f"prod --action deploy --version {word}"):
        assert parse(line, SHOP) == DEPLOY


def test_pre_release_and_build_are_kept():
    assert parse("prod --action deploy --version 2.1.0-RC.1+build.5", SHOP).version == "v2.1.0-RC.1+build.5"


def test_a_service_with_an_environment_in_its_name_beats_the_split():
    known = Known(services=("shop", "staging-shop"))
    seen = parse("staging-shop --action deploy --environment prod --version v1.0.0", known)
    assert (seen.service, seen.environment) == ("staging-shop", "prod")


@pytest.mark.parametrize("word", ["ci-cd", "cicd", "ci", "CI-CD"])
def test_the_pipeline_as_target(word):
    assert parse(f"{word} --action pipeline", SHOP) == request("pipeline")
    assert parse(f"pipeline {word}", SHOP) == request("pipeline")


def test_an_environment_selects_what_a_pipeline_deploys():
    assert parse("production --action pipeline", SHOP) == request("pipeline", environment="prod")


@pytest.mark.parametrize("action", ["provision", "pipeline", "deploy", "rollback", "monitor"])
def test_every_action_may_stand_as_a_word_or_as_a_flag_or_both(action):
    more = "--environment dev" + (" --version v1.0.0" if action == "deploy" else "")
    seen = parse(f"{action} {more}", SHOP)
    assert seen.action == action
    assert parse(f"--action {action} {more}", SHOP) == seen
    assert parse(f"{action.upper()} --action={action} {more}", SHOP) == seen


def test_a_second_word_beside_the_action_is_the_target():
    assert parse("rollback production --version v2.0.8", SHOP) == BACK
    assert parse("production rollback --version v2.0.8", SHOP) == BACK


def test_target_and_flag_that_agree_are_fine():
    assert parse("production --action deploy --version v2.1.0 --environment prod", SHOP) == DEPLOY
    assert parse("v2.1.0 --action deploy --version 2.1.0 --environment production", SHOP) == DEPLOY
    assert parse("prod production --action deploy --version v2.1.0", SHOP) == DEPLOY


def test_the_same_flag_twice_with_the_same_value_is_fine():
    assert parse("prod --action deploy --version v2.1.0 --version=2.1.0 --dry-run --dry-run", SHOP).dry_run


def test_every_flag_reaches_its_field():
    seen = parse(
        "--action deploy --environment dev --version v1.0.0 --strategy recreate --service shop --dry-run "
        "--auto-rollback --auto-approve --skip-tests --skip-security --accept-downtime --on-conflict reject "
        "--break-glass 'the shop is on fire, all of it' --reason \"it's urgent\"",
        SHOP,
    )
    assert seen == request(
        "deploy",
        environment="dev",
        version="v1.0.0",
        strategy="recreate",
        service="shop",
        dry_run=True,
        auto_rollback=True,
        auto_approve=True,
        skip_tests=True,
        skip_security=True,
        accept_downtime=True,
        on_conflict="reject",
        break_glass="the shop is on fire, all of it",
        reason="it's urgent",
    )
    assert parse("prod --action rollback --accept-schema-risk", SHOP).accept_schema_risk


def test_a_rollback_may_accept_the_downtime_of_a_strategy_it_does_not_know_yet():
    assert parse("rollback --environment prod --accept-downtime", SHOP).accept_downtime


def test_a_value_may_begin_with_dashes_after_an_equals_sign():
    assert parse("prod --action rollback '--reason=--because'", SHOP).reason == "--because"
    assert parse("prod --action rollback --reason -5", SHOP).reason == "-5"
    assert parse("prod --action rollback --reason a=b", SHOP).reason == "a=b"


def test_the_only_service_is_meant():
    assert parse("rollback --environment prod", SHOP).service == "shop"
    assert parse("rollback --environment prod").service is None


def test_without_a_configuration_a_service_is_taken_as_typed():
    assert parse("rollback --environment prod --service anything").service == "anything"


def test_names_come_from_the_configuration():
    services = "services: {shop: {run: [serve, '{port}']}, cart: {run: [x, '{port}']}}"
    config = Config.read(f"environments: {{prod: {{aliases: [Live]}}}}\n{services}")
    known = Known.of(config)
    assert parse("live rollback --service cart", known) == request("rollback", environment="prod", service="cart")
