"""Evidence that the tests pass: the project's own command, run on the commit that would be released."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.evidence import Evidence
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.tools.git import Reader
from soc_deploy_mcp.tools.project.detect import find_suite, programs
from soc_deploy_mcp.tools.project.guess import Suite
from soc_deploy_mcp.tools.project.tests_run import run_tests


async def tested(
    plan: Plan, config: Config, *, environ: Mapping[str, str], redactor: Redactor, now: Callable[[], Instant]
) -> Sequence[Evidence]:
    """Run what `pipeline.commands.test` says, else what the repository shows. E_TESTS_MISSING when neither does."""
    artifact = plan.new.artifact
    suite = _suite(plan, config, environ)
    if suite is None or artifact.commit is None:
        raise _missing(plan)
    reader = Reader(Path(artifact.source), environ)
    return [await run_tests(reader, artifact.commit, suite, environ=environ, redactor=redactor, now=now)]


def _suite(plan: Plan, config: Config, environ: Mapping[str, str]) -> Suite | None:
    if (argv := config.pipeline.commands.test) is not None:
        return Suite(argv=argv, source="soc-deploy.yaml", prepare=plan.new.spec.prepare)
    return find_suite(Path(plan.target.project), programs(environ))


def _missing(plan: Plan) -> DeployError:
    target = plan.target
    line = f"soc-deploy {target.environment} --action deploy --version {plan.new.version} --skip-tests"
    if plan.new.artifact.commit is None:
        return DeployError(
            "E_TESTS_MISSING",
            f"{plan.new.version} of {target.service} comes from no git commit, and tests are run on a commit only",
            "a deploy wants evidence that the tests of its commit pass",
            f"take it from a repository: services.{target.service}.artifact: {{git: .}} in soc-deploy.yaml\n"
            f"or, in an emergency: {line}",
        )
    return DeployError(
        "E_TESTS_MISSING",
        f"nothing says how {target.service} is tested, so nobody knows whether {plan.new.version} works",
        "a deploy wants evidence that the tests of its commit pass",
        "add to soc-deploy.yaml:  pipeline: {commands: {test: [make, test]}}\n"
        "or add a test script the project's tools find: npm test, pytest, unittest, go test, cargo test, make test\n"
        f"or, in an emergency: {line}",
    )
