"""Summaries as the programs really print them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_deploy_mcp.tools.project.figures import Figures, figures

NODE = "1..3\n{0} tests 3\n{0} suites 0\n{0} pass 1\n{0} fail 1\n{0} cancelled 0\n{0} skipped 1\n{0} duration_ms 9\n"
GO = """=== RUN   TestA
=== RUN   TestA/sub
--- PASS: TestA (0.00s)
    --- PASS: TestA/sub (0.00s)
=== RUN   TestB
    a_test.go:4: no
--- FAIL: TestB (0.00s)
--- SKIP: TestC (0.00s)
FAIL
FAIL\tx\t0.003s
"""
CARGO = "test result: {}. {} passed; {} failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.07s\n"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("============== 1 failed, 1 passed, 1 skipped, 1 xfailed in 0.14s ===============", Figures(2, 1, 1)),
        ("1 failed, 4 passed in 0.14s", Figures(4, 1)),
        ("5 passed, 2 warnings in 62.01s (0:01:02)", Figures(5, 0)),
        ("\x1b[32m\x1b[32m\x1b[1m5 passed\x1b[0m\x1b[32m in 0.01s\x1b[0m\x1b[0m", Figures(5, 0)),
        ("1 error in 0.22s", Figures(0, 1)),
        ("no tests ran in 0.08s", Figures(0, 0)),
        ("----\nRan 4 tests in 0.001s\n\nOK\n", Figures(4, 0)),
        ("Ran 4 tests in 0.000s\n\nFAILED (failures=1, skipped=1, expected failures=1)", Figures(2, 1, 1)),
        ("Ran 3 tests in 0.000s\r\n\r\nFAILED (errors=2)\r\n", Figures(1, 2)),
        ("Ran 1 test in 0.000s\n\nFAILED (unexpected successes=1)", Figures(0, 1)),
        ("Ran 0 tests in 0.000s\n\nOK", Figures(0, 0)),
        ("Ran 0 tests in 0.000s\n\nNO TESTS RAN", Figures(0, 0)),
        (NODE.format("#"), Figures(1, 1, 1)),
        (NODE.format("ℹ"), Figures(1, 1, 1)),
        ("Tests:       1 failed, 2 skipped, 4 passed, 7 total\nSnapshots:   0 total", Figures(4, 1, 2)),
        ("Test Suites: 1 passed, 1 total\nTests:       4 passed, 4 total", Figures(4, 0)),
        (" Test Files  1 failed (1)\n      Tests  1 failed | 4 passed (5)\n   Start at  10:00:00", Figures(4, 1)),
        ("      Tests  4 passed (4)", Figures(4, 0)),
        ("  4 passing (12ms)\n  1 pending\n  2 failing\n", Figures(4, 2, 1)),
        (GO, Figures(1, 1, 1)),
        (GO + "FAIL\tx/b [build failed]\n", Figures(1, 2, 1)),
        (CARGO.format("ok", 5, 0) + "\n" + CARGO.format("FAILED", 1, 1), Figures(6, 1, 2)),
        ("3 passed in 0.1s\n...\n2 passed, 1 failed in 0.2s", Figures(5, 1)),
    ],
)
def test_a_summary_is_read(output, expected):
    assert figures(f"noise 7 passed, nothing said here\n{output}") == expected


@pytest.mark.parametrize(
    "output",
    [
        "",
        "everything fine",
        "ok  \tx\t0.003s",
        "?   \tx\t[no test files]",
        "4 passed",
        "I have 12 passed exams in 3 years",
        "Ran 4 tests",
        "Tests: all good",
    ],
)
def test_what_is_no_summary_is_unknown(output):
    assert figures(output) is None


def test_figures_in_words():
    assert str(Figures(4, 0)) == "4 passed, 0 failed"
    assert str(Figures(4, 1, 2)) == "4 passed, 1 failed, 2 skipped"


@given(st.text(max_size=300))
def test_any_output_can_be_read(text):
    seen = figures(text)
    assert seen is None or min(seen.passed, seen.failed, seen.skipped) >= 0
