"""Structured tools and the command grammar are one language."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.render import render
from soc_deploy_mcp.core.config.settings import ENVIRONMENTS, STRATEGIES
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.request import Request
from soc_deploy_mcp.interfaces.mcp.lines import deploy_line, rollback_line, target_of
from tests.interfaces.fake_app import KNOWN

TARGETS = st.sampled_from([*ENVIRONMENTS, "production", "shop"]) | st.text(max_size=20)
VERSIONS = st.sampled_from(["v1.2.3", "1.2.3", "v2.0.0-rc.1", "latest", None]) | st.text(max_size=12)
MAYBE = st.none() | st.sampled_from(ENVIRONMENTS)


def request(line: Callable[[], list[str]]) -> Request | None:
    """What the line asks for; None when it is refused."""
    try:
        return parse(line(), KNOWN)
    except DeployError:
        return None


@given(TARGETS, MAYBE, VERSIONS, st.none() | st.sampled_from(STRATEGIES), st.booleans(), st.booleans())
def test_a_deploy_is_refused_or_is_what_the_same_words_mean_on_a_command_line(
    target: str, environment: str | None, version: str | None, strategy: str | None, auto: bool, dry: bool
) -> None:
    found = request(lambda: deploy_line(target, environment, version, strategy, auto, dry))
    if found is None:
        return
    assert found == parse(render(found, KNOWN), KNOWN)
    assert (found.action, found.strategy, found.auto_rollback, found.dry_run) == ("deploy", strategy, auto, dry)
    assert environment in (None, found.environment)


@given(TARGETS, MAYBE, VERSIONS, st.booleans())
def test_a_rollback_too(target: str, environment: str | None, version: str | None, dry: bool) -> None:
    found = request(lambda: rollback_line(target, environment, version, dry))
    if found is None:
        return
    assert found == parse(render(found, KNOWN), KNOWN)
    assert (found.action, found.dry_run) == ("rollback", dry)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_value_turns_a_flag_on(target: str, version: str) -> None:
    """--auto-approve and its like are no arguments, so no argument may carry them in."""
    for flag in ("--auto-approve", "--skip-security", "--skip-tests", "--accept-downtime"):
        for words in ((f"{target}{flag}", version), (target, f"{version} {flag}"), (flag, version), (target, flag)):
            found = request(partial(deploy_line, words[0], "dev", words[1], None, False, False))
            on = (found.auto_approve, found.skip_security, found.skip_tests, found.accept_downtime) if found else ()
            assert not any(on)


@pytest.mark.parametrize("value", ["", "--auto-approve", "a b", "a\tb", "a\nb", "–x", "/soc-deploy", "x" * 201, "a\0b"])
def test_what_is_no_plain_word_is_refused(value: str) -> None:
    with pytest.raises(DeployError) as told:
        rollback_line(value, "prod", None, False)
    assert told.value.code == "E_VALUE"


@pytest.mark.parametrize(
    ("target", "environment", "named"),
    [("shop", "prod", "shop/prod"), ("prod", "prod", "prod"), ("shop/prod", None, "shop/prod"), ("prod", None, "prod")],
)
def test_a_target_for_looking(target: str, environment: str | None, named: str) -> None:
    assert target_of(target, environment) == named
