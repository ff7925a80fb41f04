"""Lines that are wrong: the code, the words, and a suggestion that parses."""

import pytest

from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.errors import DeployError

SHOP = Known(services=("shop",))
TWO = Known(aliases={"live": "prod"}, services=("shop", "cart"))


def refusal(line, known=SHOP):
    with pytest.raises(DeployError) as caught:
        parse(line, known)
    error = caught.value
    assert error.what
    assert error.try_
    for suggestion in error.try_.split("\n"):
        parse(suggestion, known)
    return error


@pytest.mark.parametrize(
    ("line", "code", "tries"),
    [
        (
            "production --action deploy --version v2.1.0 --stategy canary",
            "E_FLAG_UNKNOWN",
            ["/soc-deploy prod --action deploy --version v2.1.0 --strategy canary"],
        ),
        ("production --version v2.1.0", "E_ACTION_MISSING", ["/soc-deploy prod --action deploy --version v2.1.0"]),
        ("", "E_ACTION_MISSING", ["/soc-deploy dev --action deploy --version v2.1.0 --dry-run"]),
        (
            "staging --environment prod --action deploy --version v1.0.0",
            "E_CONFLICT",
            [
                "/soc-deploy staging --action deploy --version v1.0.0",
                "/soc-deploy prod --action deploy --version v1.0.0",
            ],
        ),
        (
            "v1.0.0 --version v1.0.1 --action deploy --environment dev",
            "E_CONFLICT",
            ["/soc-deploy dev --action deploy --version v1.0.0", "/soc-deploy dev --action deploy --version v1.0.1"],
        ),
        (
            "rollback --action deploy --environment prod --version v1.0.0",
            "E_CONFLICT",
            [
                "/soc-deploy rollback --environment prod --version v1.0.0",
                "/soc-deploy prod --action deploy --version v1.0.0",
            ],
        ),
        (
            "deploy rollback --environment prod --version v1.0.0",
            "E_CONFLICT",
            [
                "/soc-deploy rollback --environment prod --version v1.0.0",
                "/soc-deploy prod --action deploy --version v1.0.0",
            ],
        ),
        (
            "--action deploy --version v1.0.0",
            "E_ENV_MISSING",
            [
                "/soc-deploy dev --action deploy --version v1.0.0",
                "/soc-deploy staging --action deploy --version v1.0.0",
                "/soc-deploy prod --action deploy --version v1.0.0",
            ],
        ),
        ("rollback", "E_ENV_MISSING", [f"/soc-deploy rollback --environment {e}" for e in ("dev", "staging", "prod")]),
        (
            "infrastructure --action provision",
            "E_ENV_MISSING",
            [f"/soc-deploy {e}-infrastructure --action provision" for e in ("dev", "staging", "prod")],
        ),
        (
            "prod --action deploy",
            "E_VERSION_MISSING",
            ["/soc-deploy prod --action deploy --version v2.1.0 --dry-run"],
        ),
        ("prod --action deploy --version latest", "E_VERSION", None),
        ("latest --action deploy --environment prod", "E_VERSION", None),
        ("feature/login --action deploy --environment prod", "E_VERSION", None),
        ("prod --action deploy --version v2.1", "E_VERSION", None),
        (
            "prodction --action rollback",
            "E_TARGET",
            ["/soc-deploy rollback --environment prod"],
        ),
        ("rollback prodction", "E_TARGET", ["/soc-deploy rollback --environment prod"]),
        ("moon --action rollback", "E_TARGET", None),
        (
            "production staging --action rollback",
            "E_TARGET_MANY",
            ["/soc-deploy rollback --environment prod", "/soc-deploy rollback --environment staging"],
        ),
        (
            "production v1.0.0 --action deploy",
            "E_TARGET_MANY",
            ["/soc-deploy prod --action deploy --version v1.0.0"],
        ),
        (
            "prod --action monitor --strategy canary",
            "E_FLAG_ACTION",
            ["/soc-deploy prod --action monitor"],
        ),
        (
            "prod --action deploy --version v1.0.0 --provider aws",
            "E_FLAG_ACTION",
            ["/soc-deploy prod --action deploy --version v1.0.0"],
        ),
        (
            "prod --action deploy --version v1.0.0 --accept-downtime",
            "E_FLAG_ACTION",
            ["/soc-deploy prod --action deploy --version v1.0.0"],
        ),
        ("staging-infrastructure --action deploy --version v1.0.0", "E_TARGET", None),
        ("ci-cd --action rollback --environment prod", "E_TARGET", None),
        ("shop --action provision --environment dev", "E_TARGET", None),
        ("v1.0.0 --action monitor", "E_TARGET", None),
        (
            "prod --action deploy --version v1.0.0 --strategy bluegreen",
            "E_VALUE",
            ["/soc-deploy prod --action deploy --version v1.0.0 --strategy blue-green"],
        ),
        ("prod --action rollback --strategy canary", "E_VALUE", ["/soc-deploy rollback --environment prod"]),
        ("prod --action deploy --version v1.0.0 --on-conflict supersede", "E_VALUE", None),
        ("prod --action deploy --version v1.0.0 --on-conflict queue", "E_VALUE", None),
        ("prod --action rollback --dry-run=no", "E_VALUE", None),
        ("prod --action rollback --reason ''", "E_VALUE", None),
        (f"prod --action rollback --reason {'x' * 501}", "E_VALUE", None),
        ("prod --action rollback --break-glass urgent", "E_VALUE", None),
        ("prod --action provision --region 'us east'", "E_VALUE", None),
        (
            "prod --action deploy --version v1.0.0 --version v1.0.1",
            "E_DUPLICATE",
            ["/soc-deploy prod --action deploy --version v1.0.0", "/soc-deploy prod --action deploy --version v1.0.1"],
        ),
        ("prod --action deploy --version --dry-run", "E_VALUE_MISSING", None),
        ("prod --action deploy --version", "E_VALUE_MISSING", None),
        ("prod --action deploy -v v1.0.0", "E_FLAG_UNKNOWN", None),
        ("prod --action deploy --version v1.0.0 --", "E_FLAG_UNKNOWN", None),
        ("prod --action rollback --env prod", "E_FLAG_UNKNOWN", ["/soc-deploy rollback --environment prod"]),
        ("prod --action rollback --reason 'no end", "E_QUOTE", ["/soc-deploy rollback --environment prod"]),
        ("prod --action rollback --reason \\", "E_QUOTE", ["/soc-deploy rollback --environment prod"]),
        ("prod --action deploy --version ${{ github.ref_name }}", "E_CHARS", None),
        ("prod --action deploy --version $(cat VERSION)", "E_CHARS", None),
        ("prod --action deploy --version `cat VERSION`", "E_CHARS", None),
        ("$ARGUMENTS", "E_CHARS", None),
        ("prod --action rollback --reason 'a\nb'", "E_CHARS", ["/soc-deploy rollback --environment prod"]),
        ("prod\0 --action rollback", "E_CHARS", ["/soc-deploy rollback --environment prod"]),
        ("prod --action rollback --reason 'safe \u202e efas'", "E_CHARS", None),
        ("prod --action rollback " + "x" * 2000, "E_LONG", None),
        ("prod --action rollback --service shopp", "E_SERVICE_UNKNOWN", ["/soc-deploy rollback --environment prod"]),
    ],
)
def test_each_mistake_has_its_code_and_a_line_that_parses(line, code, tries):
    error = refusal(line)
    assert error.code == code
    if tries is not None:
        assert error.try_.split("\n") == tries


def test_several_services_are_listed():
    error = refusal("rollback --environment prod", TWO)
    assert error.code == "E_SERVICE_MISSING"
    assert "shop, cart" in error.why
    assert error.try_.split("\n") == [
        "/soc-deploy rollback --environment prod --service shop",
        "/soc-deploy rollback --environment prod --service cart",
    ]
    assert refusal("prod --action monitor", TWO).code == "E_SERVICE_MISSING"


def test_what_had_to_be_made_up_makes_the_suggestion_a_dry_run():
    for line in ("prod --action deploy", "deploy --version latest", "prod --version v1.0.0 --stratgy canary"):
        for suggestion in refusal(line, TWO).try_.split("\n"):
            assert parse(suggestion, TWO).dry_run


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("prod --action deploy --version v1.0.0 --stategy canary", "--strategy"),
        ("production --version v2.1.0", "provision, pipeline, deploy, rollback, monitor"),
        ("prod --action pipeline --provider aws", "aws is a cloud provider"),
        ("prod --action provision --provider github-actions", "aws, gcp, azure"),
        ("prod --action monitor --strategy canary", "It goes with deploy and rollback."),
        ("prod --action monitor --accept-schema-risk", "It goes with rollback."),
        ("prod --action deploy --version v1.0.0 --on-conflict queue", "takes reject only"),
        ('prod --action rollback --reason "open', "at character 33"),
        ("prod --action deploy --version ${{ github.ref_name }}", "did not fill in"),
        ("prod --action rollback -x", "spelt in full"),
        ("prod --action rollback --blah", "--accept-schema-risk"),
        ("prod --action rollback --reason 'a\nb'", "a line break in a value"),
        ("pro\x07d --action rollback", "U+0007"),
        ("prod --action rollback --service shopp", "It has shop."),
        ("staging --environment prod --action rollback", '"staging" and --environment prod'),
    ],
)
def test_the_message_says_what_to_change(line, says):
    error = refusal(line)
    assert says in f"{error.what} {error.why}"


def test_a_suggestion_prefers_flags_of_the_action():
    assert refusal("prod --action provision --skip").why.startswith("Did you mean --skip-security")
    assert refusal("prod --action pipeline --skip").why.startswith("Did you mean --skip-tests")
    assert refusal("prod --action rollback --accept-schema").why.startswith("Did you mean --accept-schema-risk")


def test_a_flag_that_lowers_a_guard_is_kept_only_when_it_was_typed():
    risky = ("--auto-approve", "--skip-tests", "--skip-security")
    assert not any(flag in refusal("prod --action deploy").try_ for flag in risky)
    assert "--skip-tests" in refusal("prod --action deploy --skip-tests").try_
