"""How many tests passed, read from what the usual test programs print last. Pure.

A count that cannot be read is unknown; it is never taken for a good one.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_COUNTED = re.compile(r"(\d+) (\w+)")


@dataclass(frozen=True, slots=True)
class Figures:
    passed: int
    failed: int
    skipped: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def figures(output: str) -> Figures | None:
    """The sum of every summary in the output; None when there is none."""
    text = _COLOUR.sub("", output).replace("\r\n", "\n")
    found = [one for read in _READERS for one in read(text)]
    total = Figures(0, 0)
    for one in found:
        total += one
    return total if found else None


def _pytest(text: str) -> Iterator[Figures]:
    """`== 1 failed, 4 passed, 2 skipped in 0.12s ==`, with -q without the signs."""
    for match in re.finditer(r"^=*\s*((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s", text, re.MULTILINE):
        yield _words(match[1])
    for _ in re.finditer(r"^=*\s*no tests (?:ran|collected).* in [\d.]+s", text, re.MULTILINE):
        yield Figures(0, 0)


def _unittest(text: str) -> Iterator[Figures]:
    """`Ran 4 tests in 0.001s`, then `OK (skipped=1)`, `FAILED (failures=1, errors=1)` or `NO TESTS RAN`."""
    pattern = r"^Ran (\d+) tests? in [\d.]+s\n+(OK|FAILED|NO TESTS RAN)(?: \((.*)\))?$"
    for match in re.finditer(pattern, text, re.MULTILINE):
        told = {name: int(count) for name, count in re.findall(r"([a-z ]+)=(\d+)", match[3] or "")}
        told = {name.strip(): count for name, count in told.items()}
        failed = told.get("failures", 0) + told.get("errors", 0) + told.get("unexpected successes", 0)
        skipped = told.get("skipped", 0)
        yield Figures(max(0, int(match[1]) - failed - skipped), failed, skipped)


def _node(text: str) -> Iterator[Figures]:
    """`# tests 5` … `# pass 4`, `# fail 1`, `# cancelled 0`, `# skipped 0`; the spec reporter writes ℹ for #."""
    pattern = r"^[#ℹ] tests \d+\n(?:[#ℹ] (?:suites|pass|fail|cancelled|skipped|todo) \d+\n?)+"
    for match in re.finditer(pattern, text, re.MULTILINE):
        told = {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", match[0])}
        yield Figures(told.get("pass", 0), told.get("fail", 0) + told.get("cancelled", 0), told.get("skipped", 0))


def _jest(text: str) -> Iterator[Figures]:
    """`Tests:       1 failed, 2 skipped, 4 passed, 7 total`."""
    for match in re.finditer(r"^Tests:\s+((?:\d+ \w+, )*\d+ total)", text, re.MULTILINE):
        yield _words(match[1])


def _vitest(text: str) -> Iterator[Figures]:
    """`      Tests  1 failed | 4 passed (5)`."""
    for match in re.finditer(r"^\s*Tests\s+((?:\d+ \w+(?: \| )?)+) \(\d+\)", text, re.MULTILINE):
        yield _words(match[1])


def _mocha(text: str) -> Iterator[Figures]:
    """`  4 passing (12ms)`, then `  1 pending`, `  1 failing`."""
    for match in re.finditer(r"^\s*(\d+) passing \(.*\)\n(?:\s*\d+ (?:pending|failing)\n?)*", text, re.MULTILINE):
        yield _words(match[0])


def _go(text: str) -> Iterator[Figures]:
    """With -v one line a test: `--- PASS: TestX (0.00s)`; subtests are indented and counted with their test.

    Without it only packages are named: a count of those is not a count of tests.
    """
    outcomes = re.findall(r"^--- (PASS|FAIL|SKIP): ", text, re.MULTILINE)
    broken = len(re.findall(r"^FAIL\t\S+ \[(?:build|setup) failed\]", text, re.MULTILINE))
    if outcomes or broken:
        yield Figures(outcomes.count("PASS"), outcomes.count("FAIL") + broken, outcomes.count("SKIP"))


def _cargo(text: str) -> Iterator[Figures]:
    """`test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; …`, once a test binary."""
    pattern = r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;"
    for match in re.finditer(pattern, text, re.MULTILINE):
        yield Figures(int(match[1]), int(match[2]), int(match[3]))


_NAMES: Final = {
    **dict.fromkeys(("passed", "passing", "xfailed", "xpassed"), "passed"),
    **dict.fromkeys(("failed", "failing", "error", "errors"), "failed"),
    **dict.fromkeys(("skipped", "pending", "todo"), "skipped"),
}
_READERS: Final[tuple[Callable[[str], Iterator[Figures]], ...]] = (
    *(_pytest, _unittest, _node, _jest, _vitest, _mocha, _go, _cargo),
)


def _words(text: str) -> Figures:
    """`1 failed, 4 passed`. An expected failure is a test that did what it should."""
    told = dict.fromkeys(("passed", "failed", "skipped"), 0)
    for count, word in _COUNTED.findall(text):
        if word in _NAMES:
            told[_NAMES[word]] += int(count)
    return Figures(**told)
