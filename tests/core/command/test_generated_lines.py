"""Nonsense, near misses and half lines: a Request or a DeployError, never anything else; every suggestion parses."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.core.command.flags import ACTIONS, FLAGS
from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.command.render import render
from soc_deploy_mcp.core.errors import CODES, DeployError

KNOWN = (
    Known(),
    Known(services=("shop",)),
    Known(services=("shop", "cart"), aliases={"live": "prod"}, stacks=("edge",)),
)
WORDS = (
    *("production", "prod", "staging", "dev", "live", "shop", "cart", "v2.1.0", "2.1.0", "v2.1.0-rc.1+build.5"),
    *("refs/tags/v1.0.0", "latest", "main", "infrastructure", "staging-infrastructure", "ci-cd", "Deploy", "prodution"),
    *("foo", "", "please", "to", "shop-prod", "prod-edge", *ACTIONS),
)
VALUES = (
    *WORDS,
    *("canary", "bluegreen", "recreate", "aws", "github-actions", "us-east-1", "reject", "queue", "it's", "-5", "--"),
    *("a reason of more than twenty letters", "—x", "“quoted”", "x=y", "\\", "'", '"', "`", "$(x)", "${{ a }}", "\n"),
    *("\0", "\u200b", "é", "𝒳", "a" * 600),
)
NAMES = (
    *(flag.spelled for flag in FLAGS),
    *("--env", "--stategy", "-v", "--", "—action", "––version", "--Version", "--unknown-thing"),
)


def nearly_a_line(dice):
    """A line somebody might type, with something wrong in most of them."""
    parts = ["/soc-deploy"] if dice.random() < 0.5 else []
    for _ in range(dice.randint(0, 7)):
        match dice.randint(0, 9):
            case 0 | 1 | 2:
                parts.append(dice.choice(WORDS))
            case 3 | 4 | 5 | 6:
                quote = dice.choice(["", "", "", '"', "'"])
                value = f"{quote}{dice.choice(VALUES)}{quote}"
                parts.append(dice.choice(NAMES) + dice.choice([" ", " ", "=", ""]) + value)
            case 7 | 8:
                good = [f"--action {dice.choice(ACTIONS)}", "--environment prod", "--version v1.2.3"]
                parts += good[: dice.randint(1, 3)]
            case _:
                signs = [dice.choice([dice.randint(32, 126), dice.randint(0, 0x2100)]) for _ in range(8)]
                parts.append("".join(map(chr, signs)))
    return " ".join(parts)


def holds(line, known):
    """What must be true of every line."""
    seen = outcome(line, known)
    if isinstance(seen, DeployError):
        assert seen.code in CODES
        assert seen.what
        for suggestion in seen.try_.split("\n"):
            assert suggestion == render(parse(suggestion, known), known)
    else:
        plain = seen.model_copy(update={"notes": ()})
        assert parse(render(seen), known) == parse(render(seen, known), known) == plain


def outcome(line, known):
    try:
        return parse(line, known)
    except DeployError as error:
        return error


@pytest.mark.parametrize("seed", range(4))
def test_generated_lines(seed):
    dice = random.Random(seed)
    for _ in range(3000):
        line, known = nearly_a_line(dice), dice.choice(KNOWN)
        holds(line if dice.random() < 0.7 else line.split(" "), known)


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=200), st.sampled_from(KNOWN))
def test_any_text(text, known):
    holds(text, known)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=20), st.sampled_from(NAMES + VALUES)), max_size=8), st.sampled_from(KNOWN))
def test_any_arguments(arguments, known):
    holds(arguments, known)
