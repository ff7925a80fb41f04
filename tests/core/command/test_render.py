"""A request and its canonical line are one thing in two forms."""

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.core.command.flags import ACTIONS, CI_PROVIDERS, CLOUDS, of_action
from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.command.render import render
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.request import Request

KNOWN = Known(services=("shop", "Cart-2"), stacks=("edge",))
ONE = Known(services=("shop",))

texts = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="`", exclude_categories=["Cc", "Cf"]),
    max_size=60,
).filter(lambda text: text.strip() and "$(" not in text and "${" not in text and "$ARGUMENTS" not in text)
versions = st.sampled_from(["v1.0.0", "v2.1.0-rc.1", "v10.20.30-RC.1.x+build.5", "v0.0.1+1"])


@st.composite
def requests(draw):
    """Requests that a line can say."""
    action = draw(st.sampled_from(ACTIONS))
    fields = {"action": action}
    for flag in of_action(action):
        if flag.name in ("action", "environment", "service", "accept-downtime") or not draw(st.booleans()):
            continue
        value = {
            "switch": st.just(True),
            "version": versions,
            "text": texts.map(lambda text, least=flag.least: text + "x" * (least - len(text.strip()))),
            "name": st.sampled_from(["us-east-1", "europe-west4", "1x"]),
        }.get(flag.kind)
        fields[flag.field] = draw(value if value is not None else st.sampled_from(flag.choices(action)))
    if action in ("deploy", "rollback", "provision") or draw(st.booleans()):
        fields["environment"] = draw(st.sampled_from(["dev", "staging", "prod"]))
    if action == "deploy":
        fields.setdefault("version", draw(versions))
    if action in ("provision", "monitor") and draw(st.booleans()):
        fields["stack"] = draw(st.sampled_from(["default", "edge"]))
    elif action in ("deploy", "rollback", "monitor"):
        fields["service"] = draw(st.sampled_from(KNOWN.services))
    if fields.get("strategy") == "recreate":
        fields["accept_downtime"] = draw(st.booleans())
    return Request(**fields)


@settings(max_examples=400)
@given(requests())
def test_parsing_what_was_rendered_gives_the_request_back(request):
    line = render(request)
    assert parse(line, KNOWN) == request
    assert parse(shlex.split(line), KNOWN) == request
    assert render(parse(line, KNOWN)) == line


@settings(max_examples=200)
@given(requests())
def test_quoting_a_whole_line_changes_nothing(request):
    quoted = shlex.quote(render(request))
    assert parse(quoted, KNOWN) == request
    assert parse([render(request)], KNOWN) == request


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (
            Request(action="rollback", environment="prod", version="v2.0.8", service="shop"),
            "/soc-deploy rollback --environment prod --version v2.0.8",
        ),
        (
            Request(action="deploy", environment="prod", version="v2.1.0", strategy="blue-green", auto_rollback=True),
            "/soc-deploy prod --action deploy --version v2.1.0 --strategy blue-green --auto-rollback",
        ),
        (
            Request(action="provision", environment="staging", stack="default", provider="aws", region="us-east-1"),
            "/soc-deploy staging-infrastructure --action provision --provider aws --region us-east-1",
        ),
        (
            Request(action="pipeline", provider="github-actions"),
            "/soc-deploy ci-cd --action pipeline --provider github-actions",
        ),
        (Request(action="monitor", environment="prod"), "/soc-deploy prod --action monitor"),
        (Request(action="monitor"), "/soc-deploy monitor"),
        (
            Request(action="monitor", environment="dev", stack="edge"),
            "/soc-deploy edge --action monitor --environment dev",
        ),
        (
            Request(action="rollback", environment="dev", reason="it's bad"),
            '/soc-deploy rollback --environment dev --reason "it\'s bad"',
        ),
        (
            Request(action="rollback", environment="dev", reason="--x y"),
            "/soc-deploy rollback --environment dev '--reason=--x y'",
        ),
    ],
)
def test_the_canonical_line(request_, line):
    assert render(request_, ONE) == line


def test_the_service_is_said_when_there_are_several():
    request = Request(action="rollback", environment="prod", service="shop")
    assert render(request, KNOWN) == render(request) == "/soc-deploy rollback --environment prod --service shop"


def test_a_reason_that_would_not_fit_in_its_canonical_line_is_refused():
    reason = '"$' + "'" * 498
    with pytest.raises(DeployError) as caught:
        parse(["prod", "--action", "rollback", "--reason", reason], ONE)
    assert caught.value.code == "E_LONG"
    assert caught.value.try_ == "/soc-deploy rollback --environment prod"


def test_providers_of_both_kinds_are_told_apart():
    assert not set(CLOUDS) & set(CI_PROVIDERS)
