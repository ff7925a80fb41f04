"""The subprocess runner, with real processes."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from soc_deploy_mcp.core.redaction import MARK, Redactor
from soc_deploy_mcp.tools import process
from soc_deploy_mcp.tools.process import NotStarted, plain_environment

ENV = {"PATH": os.environ["PATH"]}


async def python(code, tmp_path, timeout=60.0, **more):
    return await process.run([sys.executable, "-c", code], cwd=tmp_path, env=ENV, timeout=timeout, **more)


async def shell(script, tmp_path, timeout=60.0):
    return await process.run(["sh", "-c", script], cwd=tmp_path, env=ENV, timeout=timeout)


def gone(pid):
    """Not running any more: no such process, or a zombie nobody waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def comes_true(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.02)
    return False


async def test_output_code_and_directory_are_told(tmp_path):
    done = await python("import os, sys; print(os.getcwd()); print('bad', file=sys.stderr); sys.exit(3)", tmp_path)
    assert (done.code, done.ok, done.timed_out) == (3, False, False)
    assert done.out.strip() == str(tmp_path.resolve())
    assert done.err == "bad\n"
    assert done.last_lines().endswith("bad")


async def test_the_environment_is_exactly_what_was_given(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "must-not-leak")
    done = await process.run(["/usr/bin/env"], cwd=tmp_path, env={"A": "1"}, timeout=60)
    assert done.out == "A=1\n"


async def test_standard_input_is_handed_over_and_empty_otherwise(tmp_path):
    copy = "import sys; print(repr(sys.stdin.read()))"
    assert (await python(copy, tmp_path, stdin=b"abc")).out == "'abc'\n"
    assert (await python(copy, tmp_path)).out == "''\n"


async def test_a_program_that_cannot_start_says_why(tmp_path):
    with pytest.raises(NotStarted, match="no such file"):
        await process.run(["no-such-program-here"], cwd=tmp_path, env=ENV, timeout=5)
    with pytest.raises(NotStarted, match="no such file"):
        await process.run(["true"], cwd=tmp_path / "missing", env=ENV, timeout=5)
    with pytest.raises(NotStarted, match="null byte"):
        await process.run(["true", "a\0b"], cwd=tmp_path, env=ENV, timeout=5)
    (tmp_path / "plain").write_text("x")
    with pytest.raises(NotStarted, match="permission denied"):
        await process.run([str(tmp_path / "plain")], cwd=tmp_path, env=ENV, timeout=5)


async def test_a_timeout_ends_the_whole_group_also_who_ignores_sigterm(tmp_path):
    done = await shell("trap '' TERM; sleep 600 & echo $$ $!; wait", tmp_path, timeout=3)
    parent, child = map(int, done.out.split())
    assert done.timed_out
    assert not done.ok
    assert done.code == -9
    assert await comes_true(lambda: gone(parent) and gone(child))


async def test_what_a_command_leaves_running_is_ended_and_does_not_hold_the_answer(tmp_path):
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
    )
    done = await python(code, tmp_path, timeout=120)
    assert done.ok
    assert await comes_true(lambda: gone(int(done.out)))


async def test_a_background_process_without_pipes_is_ended_too(tmp_path):
    done = await shell("sleep 600 >/dev/null 2>&1 & echo $!", tmp_path)
    assert done.ok
    assert await comes_true(lambda: gone(int(done.out)))


async def test_at_the_timeout_a_program_may_say_goodbye(tmp_path):
    done = await shell("trap 'echo goodbye; exit 7' TERM; echo ready; sleep 600 & wait", tmp_path, timeout=3)
    assert done.timed_out
    assert (done.code, done.out) == (7, "ready\ngoodbye\n")


async def test_a_program_that_hangs_without_its_pipes_is_ended_at_the_timeout(tmp_path):
    script = "trap '' TERM; echo $$; exec >/dev/null 2>&1; while :; do sleep 1; done"
    done = await shell(script, tmp_path, timeout=3)
    assert done.timed_out
    assert done.code == -9
    assert await comes_true(lambda: gone(int(done.out)))


async def test_cancelling_kills_the_group(tmp_path):
    pid_file = tmp_path / "pids"
    script = f"sleep 600 & echo $! $$ > {pid_file}; wait"
    task = asyncio.create_task(shell(script, tmp_path, timeout=600))
    assert await comes_true(lambda: pid_file.exists() and len(pid_file.read_text().split()) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    child, parent = map(int, pid_file.read_text().split())
    assert await comes_true(lambda: gone(child) and gone(parent))


async def test_the_signal_of_a_killed_process_is_its_code(tmp_path):
    assert (await python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", tmp_path)).code == -15


async def test_a_secret_is_redacted_even_when_it_is_printed_in_two_pieces(tmp_path):
    code = "import time\nprint('hunter-', end='', flush=True); time.sleep(0.3); print('number-two ok')"
    done = await python(code, tmp_path, redactor=Redactor(["hunter-number-two"]))
    assert done.out == f"{MARK} ok\n"


async def test_long_output_keeps_beginning_and_end(tmp_path):
    code = "print('first'); [print('x' * 99) for _ in range(5000)]; print('last')"
    done = await python(code, tmp_path, limit=4000)
    assert done.out.startswith("first\n")
    assert done.out.endswith("last\n")
    assert "characters left out" in done.out
    assert len(done.out) < 4100


async def test_bytes_that_are_no_text_do_not_stop_it(tmp_path):
    done = await python("import sys; sys.stdout.buffer.write(b'a\\xff\\xfeb')", tmp_path)
    assert done.out == "a\ufffd\ufffdb"


def test_the_plain_environment_holds_no_secret():
    environ = {"PATH": "/bin", "LC_ALL": "C", "HOME": "/root", "ANTHROPIC_API_KEY": "x", "PYTHONPATH": "/x"}
    assert plain_environment(environ, {"HOME": "/tmp/h"}) == {"PATH": "/bin", "LC_ALL": "C", "HOME": "/tmp/h"}
