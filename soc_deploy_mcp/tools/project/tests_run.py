"""The project's own tests, run in a throw-away copy of the commit that would be released.

A result file in the working tree would be no evidence: whoever types the command can write it. The copy has a home
of its own and no secret; what it writes is gone afterwards.
"""

import asyncio
import hashlib
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soc_deploy_mcp.core.evidence import Evidence
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.tools import process
from soc_deploy_mcp.tools.git import Reader
from soc_deploy_mcp.tools.project.figures import Figures, figures
from soc_deploy_mcp.tools.project.guess import Argv, Suite

TIMEOUT_S: Final = 600.0  # for preparing and testing together
_NOT_STARTED = 127

_QUIET = {
    "CI": "1",  # test programs that would watch for changes run once
    "NO_COLOR": "1",
    "TERM": "dumb",
    "PYTHONDONTWRITEBYTECODE": "1",
    "GOFLAGS": "-modcacherw",  # else the copy cannot be removed again
}


@dataclass(frozen=True, slots=True)
class _Outcome:
    exit_code: int
    output: str
    timed_out: bool = False
    prepared: bool = True


async def run_tests(
    reader: Reader,
    commit: str,
    suite: Suite,
    *,
    environ: Mapping[str, str],
    redactor: Redactor,
    now: Callable[[], Instant],
    timeout: float = TIMEOUT_S,
) -> Evidence:
    """Evidence of kind `tests` about a commit. Raises what the repository raises; a failed test is evidence.

    `data`: exit_code, passed and failed and skipped (null: nobody can tell), seconds, timed_out, prepared (false: the
    copy could not be made ready, no test ran), source, tail (the end of the output, untrusted).
    """
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soc-tests-", ignore_cleanup_errors=True) as temporary:
        copy = Path(temporary) / "copy"
        for folder in ("copy", "home", "tmp"):
            (Path(temporary) / folder).mkdir()
        await reader.archive(commit, copy)
        outcome = await _carry(suite, copy, _environment(environ, Path(temporary)), redactor, timeout)
    seen = figures(outcome.output) if outcome.prepared else None
    query = f"{redactor.text(shlex.join(suite.argv))} (from {suite.source})"
    return Evidence(
        kind="tests",
        subject=commit,
        tool=Path(suite.argv[0]).name,
        query=query,
        figure=f"{_figure(outcome, seen, timeout)}, commit {commit[:7]}, run here",
        at=now(),
        raw=hashlib.sha256(outcome.output.encode()).hexdigest(),
        data={
            "exit_code": outcome.exit_code,
            "passed": seen.passed if seen else None,
            "failed": seen.failed if seen else None,
            "skipped": seen.skipped if seen else None,
            "seconds": round(time.monotonic() - begin, 3),
            "timed_out": outcome.timed_out,
            "prepared": outcome.prepared,
            "source": suite.source,
            "tail": "\n".join(outcome.output.splitlines()[-20:])[-4096:],
        },
    )


def _environment(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    return process.plain_environment(environ, {**_QUIET, "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")})


async def _carry(suite: Suite, copy: Path, env: Mapping[str, str], redactor: Redactor, timeout: float) -> _Outcome:
    end = asyncio.get_running_loop().time() + timeout
    for argv in suite.prepare:
        outcome = await _one(argv, copy, env, redactor, end)
        if outcome.exit_code or outcome.timed_out:
            return _Outcome(outcome.exit_code, outcome.output, outcome.timed_out, prepared=False)
    return await _one(suite.argv, copy, env, redactor, end)


async def _one(argv: Argv, copy: Path, env: Mapping[str, str], redactor: Redactor, end: float) -> _Outcome:
    left = max(0.1, end - asyncio.get_running_loop().time())
    try:
        done = await process.run(argv, cwd=copy, env=env, timeout=left, redactor=redactor)
    except process.NotStarted as error:
        return _Outcome(_NOT_STARTED, str(error), prepared=False)
    return _Outcome(done.code, f"{done.out}\n{done.err}", done.timed_out)


def _figure(outcome: _Outcome, seen: Figures | None, timeout: float) -> str:
    if outcome.timed_out:
        return f"ended after {timeout:.0f} s without a result"
    if not outcome.prepared:
        return f"the copy could not be made ready (exit code {outcome.exit_code})"
    if seen is None:
        return f"exit code {outcome.exit_code}, count unknown"
    told = str(seen)
    return told if (outcome.exit_code == 0) == (seen.failed == 0) else f"{told}, exit code {outcome.exit_code}"
