"""However a valid file is damaged, it is a valid file or E_CONFIG with a line, never anything else."""

import random
from importlib import resources

import pytest

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.config import ENVIRONMENTS, Config
from soc_deploy_mcp.core.errors import DeployError

EXAMPLE = resources.files("soc_deploy_mcp.core.config").joinpath("example.yaml").read_text("utf-8")
VALUES = (
    *("5", "-1", "0", "1.5", "true", "null", "yes", "''", "[]", "{}", "[x]", "{x: 1}", "5m", "1e999", ".inf", "nan"),
    *(
        "env:X",
        "file:/x",
        "<1%",
        "x" * 300,
        '"\\0"',
        "&a [*a]",
        "*b",
        "!!int x",
        "9" * 50,
        "- x",
        "é",
        "16:00",
        "[[[]]]",
    ),
)


def edited(dice):
    """The example with one to three things changed."""
    lines = EXAMPLE.split("\n")
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(lines))
        match dice.randint(0, 6):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[dice.randrange(len(lines))])
            case 2:
                lines[at] = dice.choice(["", " ", "   "]) + lines[at].lstrip()
            case 3 | 4:
                key, colon, _ = lines[at].partition(": ")
                lines[at] = f"{key}{colon}{dice.choice(VALUES)}"
            case 5:
                where = dice.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:where] + chr(dice.choice([*range(128), 0x2028, 0xFEFF])) + lines[at][where:]
            case _:
                lines[at] = lines[at].replace("_", "", 1).replace("a", "e", 1)
    return "\n".join(lines)


def outcome(text):
    try:
        return Config.read(text)
    except DeployError as error:
        return error


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_file_is_valid_or_says_where_it_is_not(seed):
    dice = random.Random(seed)
    refused = 0
    for _ in range(60):
        text = edited(dice)
        seen = outcome(text)
        if isinstance(seen, DeployError):
            refused += 1
            assert seen.code == "E_CONFIG"
            line = int(seen.what.removeprefix("soc-deploy.yaml line ").partition(":")[0])
            assert 1 <= line <= text.count("\n") + 1
            assert seen.what.partition(": ")[2]
        else:
            for service in seen.services:
                for environment in ENVIRONMENTS:
                    digest(seen.settings(service, environment).model_dump(mode="json"))
    assert 10 < refused < 60
