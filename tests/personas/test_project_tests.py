"""Which commit's tests are run, and what is said where there is none."""

import asyncio

import pytest

from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.personas.project_tests import tested as evidence_of
from tests.core.report.journals import YAML, plan


def test_a_release_without_a_commit_is_told_that_a_test_command_would_not_help() -> None:
    made = plan("A")
    artifact = made.new.artifact.model_copy(update={"kind": "dir", "commit": None})
    of = made.model_copy(update={"new": made.new.model_copy(update={"artifact": artifact})})
    config = Config.read(YAML + "pipeline: {commands: {test: [make, test]}}\n")
    with pytest.raises(DeployError) as refused:
        asyncio.run(evidence_of(of, config, environ={}, redactor=Redactor(), now=lambda: Instant(0.0)))
    assert refused.value.code == "E_TESTS_MISSING"
    assert "comes from no git commit" in refused.value.what
    assert "pipeline" not in refused.value.try_
    assert "--skip-tests" in refused.value.try_
