"""The table of flags agrees with the Request and with the configuration."""

import subprocess
import sys
from typing import get_args

from soc_deploy_mcp.core import request
from soc_deploy_mcp.core.command.flags import ACTIONS, BY_NAME, FLAGS, of_action
from soc_deploy_mcp.core.config import ENVIRONMENTS, STRATEGIES
from soc_deploy_mcp.core.request import Request


def test_every_flag_sets_a_field_and_every_field_has_a_flag():
    assert {flag.field for flag in FLAGS} == Request.model_fields.keys() - {"notes", "stack"}
    assert len(BY_NAME) == len(FLAGS)


def test_the_values_are_those_of_the_models():
    assert ACTIONS == request.ACTIONS
    assert BY_NAME["environment"].values == ENVIRONMENTS
    assert BY_NAME["strategy"].values == STRATEGIES
    assert BY_NAME["on-conflict"].values == get_args(get_args(Request.model_fields["on_conflict"].annotation)[0])


def test_every_flag_has_help_and_a_usage():
    for flag in FLAGS:
        assert flag.help.endswith(".")
        assert flag.usage.startswith(flag.spelled)
        assert set(flag.actions) <= set(ACTIONS)
        for values in flag.by_action.values():
            assert set(values) <= set(flag.values)
    assert BY_NAME["strategy"].usage == "--strategy [blue-green|canary|rolling|recreate]"
    assert BY_NAME["version"].usage == "--version SEMVER"


def test_the_flags_of_an_action():
    assert {flag.name for flag in of_action("rollback")} == {
        *("action", "environment", "version", "strategy", "service", "dry-run", "auto-approve", "accept-downtime"),
        *("accept-schema-risk", "break-glass", "reason"),
    }


def test_help_and_completion_need_no_heavy_package():
    code = "import sys, soc_deploy_mcp.core.command.flags; print(sorted({'pydantic', 'yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
