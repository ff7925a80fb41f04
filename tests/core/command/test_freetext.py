"""A sentence is never carried out; the nearest command line is named."""

import pytest

from soc_deploy_mcp.core.command.freetext import nearest
from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.errors import DeployError

SHOP = Known(services=("shop",))


def refused(text, known=SHOP):
    with pytest.raises(DeployError) as caught:
        parse(text, known)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ship v2.1.0 to production", "/soc-deploy prod --action deploy --version v2.1.0"),
        (
            "please release 2.1.0 to staging with a canary",
            "/soc-deploy staging --action deploy --version v2.1.0 --strategy canary",
        ),
        ("undo the last deploy on prod", "/soc-deploy rollback --environment prod"),
        ("go back to v2.0.8 in production!", "/soc-deploy rollback --environment prod --version v2.0.8"),
        ("set up alerts for staging", "/soc-deploy staging --action monitor"),
        ("set up the github-actions pipeline", "/soc-deploy ci-cd --action pipeline --provider github-actions"),
        (
            "create the infrastructure for dev on aws",
            "/soc-deploy dev-infrastructure --action provision --provider aws",
        ),
        ("what would deploying v1.0.0 to dev do", "/soc-deploy dev --action deploy --version v1.0.0 --dry-run"),
        (
            "deploy v1.0.0 to prod with automatic rollback",
            "/soc-deploy prod --action deploy --version v1.0.0 --auto-rollback",
        ),
        (
            "blue green deploy of v1.0.0 to dev",
            "/soc-deploy dev --action deploy --version v1.0.0 --strategy blue-green",
        ),
        ("hello there", "/soc-deploy dev --action deploy --version v2.1.0 --dry-run"),
        ("deploy it to production", "/soc-deploy prod --action deploy --version v2.1.0 --dry-run"),
    ],
)
def test_the_nearest_line(text, line):
    error = refused(text)
    assert error.code == "E_NOT_A_COMMAND"
    assert error.try_ == line
    assert parse(line, SHOP)


def test_what_is_open_is_shown_in_brackets():
    assert "[dev|staging|prod]" in refused("ship it now").why
    assert "--version [version]" in refused("ship it to prod").why
    assert "[provision|pipeline|deploy|rollback|monitor]" in refused("hello there friend").why
    two = Known(services=("shop", "cart"))
    assert "--service [shop|cart]" in refused("undo it on prod", two).why
    assert "--service cart" in refused("undo it on prod for cart", two).why


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("deploy v1.0.0 to prod without asking", "--auto-approve"),
        ("deploy v1.0.0 to prod and skip the tests", "--skip-tests"),
        ("deploy v1.0.0 to prod without security", "--skip-security"),
        ("deploy v1.0.0 to prod, override the freeze", "--break-glass"),
        ("recreate prod with v1.0.0 and accept the downtime", "--accept-downtime"),
    ],
)
def test_a_flag_that_lowers_a_guard_is_never_proposed(text, flag):
    error = refused(text)
    assert flag not in error.try_
    assert f"{flag}: add it yourself" in error.why


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("deploy prodution", "E_TARGET"),
        ("production staging", "E_TARGET_MANY"),
        ("ship it --action deploy", "E_TARGET"),
        ("deploy latest", "E_VERSION"),
        ("rollback", "E_ENV_MISSING"),
        ("nonsense", "E_TARGET"),
    ],
)
def test_a_line_that_is_almost_a_command_is_no_free_text(line, code):
    assert refused(line).code == code


def test_the_same_sentence_gives_the_same_answer():
    assert nearest("ship it to prod", SHOP) == nearest("ship it to prod", SHOP)
