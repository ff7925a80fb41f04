"""The tests of a commit, run for real in a copy of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.evidence import Evidence
from soc_deploy_mcp.core.redaction import MARK, Redactor
from soc_deploy_mcp.tools.git import Reader
from soc_deploy_mcp.tools.project.guess import Suite
from soc_deploy_mcp.tools.project.tests_run import run_tests

PASSING = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): pass\n"
UNITTEST = (sys.executable, "-m", "unittest", "discover", "-s", "tests")


@pytest.fixture
def repository(tmp_path):
    """commit(**files) -> commit id."""
    root = tmp_path / "project"
    root.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def git(*words):
        argv = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com", *words]
        return subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True, check=True).stdout.strip()

    def commit(**files):
        for name, text in files.items():
            path = root / name.replace("___", "/").replace("__", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        git("add", "-A")
        git("commit", "-q", "-m", "a commit")
        return git("rev-parse", "HEAD")

    git("init", "-q")
    commit.root, commit.env = root, env
    return commit


async def run(repository, commit, argv=UNITTEST, prepare=(), source="tests/", timeout=120.0, redactor=None, **environ):
    return await run_tests(
        Reader(repository.root, repository.env),
        commit,
        Suite(tuple(argv), source, prepare),
        environ={**repository.env, **environ},
        redactor=redactor or Redactor(),
        now=lambda: 1000.0,
        timeout=timeout,
    )


async def test_passing_tests_are_counted_and_bound_to_the_commit(repository):
    commit = repository(tests___test_a__py=PASSING)
    seen = await run(repository, commit)
    assert (seen.kind, seen.subject, seen.at) == ("tests", commit, 1000.0)
    assert seen.figure == f"2 passed, 0 failed, commit {commit[:7]}, run here"
    assert (seen.data["exit_code"], seen.data["passed"], seen.data["failed"]) == (0, 2, 0)
    assert seen.query.endswith("-m unittest discover -s tests (from tests/)")
    assert Evidence.from_json(seen.to_json()) == seen


async def test_the_commit_is_tested_and_not_the_working_tree(repository):
    commit = repository(tests___test_a__py=PASSING)
    (repository.root / "tests" / "test_a.py").write_text(PASSING.replace("pass\n", "self.fail()\n"))
    (repository.root / "tests" / "test_new.py").write_text(PASSING)
    assert (await run(repository, commit)).data["passed"] == 2


async def test_a_failing_test_is_evidence_too(repository):
    commit = repository(
        tests___test_a__py=PASSING.replace("test_b(self): pass", "test_b(self): self.fail('broken tea')")
    )
    seen = await run(repository, commit)
    assert seen.figure.startswith("1 passed, 1 failed, commit ")
    assert (seen.data["exit_code"], seen.data["failed"]) == (1, 1)
    assert "broken tea" in seen.data["tail"]


async def test_no_test_at_all_is_no_pass(repository):
    seen = await run(repository, repository(tests___readme__txt="none"))
    assert seen.data["passed"] == 0


async def test_an_exit_code_without_a_count_stays_unknown(repository):
    commit = repository(a="1")
    seen = await run(repository, commit, ["true"], source="Makefile")
    assert seen.figure == f"exit code 0, count unknown, commit {commit[:7]}, run here"
    assert (seen.data["exit_code"], seen.data["passed"]) == (0, None)
    assert (await run(repository, commit, ["false"])).figure.startswith("exit code 1, count unknown")


async def test_a_count_that_contradicts_the_exit_code_is_shown_with_it(repository):
    code = "import sys; print('3 passed in 0.1s'); sys.exit(4)"
    seen = await run(repository, repository(a="1"), [sys.executable, "-c", code])
    assert seen.figure.startswith("3 passed, 0 failed, exit code 4, ")


async def test_a_home_of_its_own_no_secret_and_nothing_left_behind(repository):
    code = (
        "import os, pathlib; here = pathlib.Path.cwd(); (pathlib.Path.home() / 'x').write_text('x')\n"
        "print(sorted(os.environ)); print('HERE', here, os.environ['HOME'], os.environ['TMPDIR'])"
    )
    seen = await run(repository, repository(a="1"), [sys.executable, "-c", code], AWS_SECRET="x", PYTHONPATH="/x")
    tail = seen.data["tail"]
    assert "AWS_SECRET" not in tail
    assert "PYTHONPATH" not in tail
    _, copy, home, temporary = next(line for line in tail.splitlines() if line.startswith("HERE")).split()
    assert home != os.environ["HOME"]
    assert Path(copy).parent == Path(home).parent == Path(temporary).parent
    assert str(repository.root) not in copy
    assert not Path(copy).parent.exists()


async def test_secrets_do_not_reach_the_evidence(repository):
    code = "print('token is hunter-number-two')"
    redactor = Redactor(["hunter-number-two"])
    seen = await run(repository, repository(a="1"), [sys.executable, "-c", code], redactor=redactor)
    assert MARK in seen.data["tail"]
    assert "hunter" not in str(seen.to_json())


async def test_it_is_prepared_first_and_a_failed_preparation_is_said(repository):
    commit = repository(a="1")
    copies = (("cp", "a", "b"), ("cp", "b", "c"))
    assert (await run(repository, commit, ["cat", "c"], copies)).data["tail"].strip() == "1"
    seen = await run(repository, commit, ["cat", "c"], (("cp", "nope", "b"),))
    assert (seen.data["prepared"], seen.data["passed"]) == (False, None)
    assert seen.data["exit_code"] != 0
    assert seen.figure.startswith("the copy could not be made ready (exit code 1)")
    boast = (sys.executable, "-c", "import sys; print('3 passed in 0.1s'); sys.exit(1)")
    assert (await run(repository, commit, ["cat", "c"], (boast,))).data["passed"] is None


async def test_a_program_that_is_not_there(repository):
    seen = await run(repository, repository(a="1"), ["no-such-test-runner"])
    assert (seen.data["exit_code"], seen.data["prepared"]) == (127, False)
    assert "no such file" in seen.data["tail"]


async def test_tests_that_hang_are_ended(repository):
    code = "import time; print('2 passed in 0.1s', flush=True); time.sleep(600)"
    seen = await run(repository, repository(a="1"), [sys.executable, "-c", code], timeout=2)
    assert seen.data["timed_out"]
    assert seen.data["exit_code"] != 0
    assert seen.figure.startswith("ended after 2 s without a result")


async def test_a_commit_that_is_not_there(repository):
    repository(a="1")
    with pytest.raises(DeployError, match="E_ARTIFACT"):
        await run(repository, "f" * 40)
