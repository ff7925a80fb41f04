"""The text exposition format (`text/plain; version=0.0.4`), as routers and applications write it.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/. Client libraries' own parsers rename counters
that do not end in `_total`; a router's `upstream_rq_xx` must keep its name, or every query finds nothing.
A page is taken whole or not at all: half a page would make missing failures look like none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

MAX_BYTES = 16 * 1024 * 1024

Key = tuple[tuple[str, str], ...]  # a series: sorted (label, value) pairs, __name__ among them, no empty values

_STRING = rb"""\"(?:[^"\\]|\\.)*\""""
_LABELS = rb"""\{(?:[^"}]|""" + _STRING + rb""")*\}"""
_LINE = re.compile(
    rb"([a-zA-Z_:][a-zA-Z0-9_:]*[ \t]*(?:" + _LABELS + rb")?|" + _LABELS + rb")"  # the series
    rb"[ \t]*(?<=[ \t}])([^ \t#]+)"  # its value
    rb"(?:[ \t]+[-+]?[0-9][0-9.eE+-]*)?"  # a timestamp: the time of the scrape is used instead
    rb"[ \t]*(?:#.*)?"  # an exemplar
)
_NUMBER = re.compile(rb"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?(?i:inf(?:inity)?)|(?i:nan)")
_PAIR = re.compile(rb"[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*(" + _STRING + rb")[ \t]*(?:,|$)")
_QUOTED = re.compile(rb"[ \t]*" + _STRING + rb"[ \t]*(?:=[ \t]*" + _STRING + rb"[ \t]*)?(?:,|$)")
_ESCAPE = re.compile(r"""\\([\\"n])""")


class BadPage(Exception):
    """The page cannot be taken as a whole; the text says why. The scrape counts as failed."""


@dataclass(frozen=True, slots=True)
class Page:
    """The samples of one scrape: distinct series with their values."""

    samples: tuple[tuple[Key, float], ...]
    skipped: int = 0  # lines whose names need quotes (UTF-8 names), which no query here can ask for

    def __iter__(self) -> Iterator[tuple[Key, float]]:
        return iter(self.samples)


def parse(text: bytes) -> Page:
    """The samples of a page. Raises BadPage when it is empty, cut off, too large, malformed or names a series twice."""
    if len(text) > MAX_BYTES:
        raise BadPage(f"the page is larger than {MAX_BYTES >> 20} MiB")
    found: dict[Key, float] = {}
    skipped = 0
    for number, line in enumerate(_lines(text), 1):
        if not line or line.startswith(b"#"):
            continue
        sample = _sample(line, number)
        if sample is None:
            skipped += 1
            continue
        key, value = sample
        if key in found:
            raise BadPage(f"line {number}: the series {series_text(key)} is there twice")
        found[key] = value
    return Page(tuple(found.items()), skipped)


def _lines(text: bytes) -> list[bytes]:
    """The lines up to `# EOF`. A last line without its end is a page that was cut off: 12 may have been 123."""
    if not text.strip():
        raise BadPage("the page is empty")
    lines = [line.removesuffix(b"\r").strip(b" \t") for line in text.split(b"\n")]
    if b"# EOF" in lines:
        end = lines.index(b"# EOF")
        if any(lines[end + 1 :]):
            raise BadPage(f"line {end + 2}: there is text after # EOF")
        return lines[:end]
    if lines[-1]:
        raise BadPage(f"line {len(lines)}: the page was cut off")
    return lines


def _sample(line: bytes, number: int) -> tuple[Key, float] | None:
    match = _LINE.fullmatch(line)
    if not match:
        raise BadPage(f"line {number} is no sample: {_excerpt(line)}")
    series, value = match.groups()
    if not _NUMBER.fullmatch(value):
        raise BadPage(f"line {number}: {_excerpt(value)} is no number")
    try:
        return _key(series), float(value)
    except _Quoted:
        return None
    except ValueError as error:
        raise BadPage(f"line {number}: {error}") from None


def _excerpt(text: bytes) -> str:
    return repr(text[:80].decode(errors="replace"))


class _Quoted(Exception):
    """A name in quotes."""


@lru_cache(maxsize=40_000)
def _key(series: bytes) -> Key:
    """The series a line starts with. The same text comes with every scrape, so it is read once."""
    name, brace, rest = series.partition(b"{")
    labels = {"__name__": name.strip().decode()}
    if brace:
        for label, value in _pairs(rest[:-1]):
            if label in labels:
                raise ValueError(f"the label {label} is there twice")
            labels[label] = value
    if not labels["__name__"]:
        raise ValueError("the series has no name")
    return tuple(sorted((label, value) for label, value in labels.items() if value))


def _pairs(text: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        match = _PAIR.match(text, at)
        if not match:
            if _QUOTED.match(text, at):
                raise _Quoted
            raise ValueError("the labels cannot be read")
        yield match[1].decode(), _ESCAPE.sub(_unescape, match[2][1:-1].decode())  # bad UTF-8 is a ValueError
        at = match.end()


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def series_text(key: Key) -> str:
    """A series as people write it: `up{instance="router"}`."""
    labels = dict(key)
    name = labels.pop("__name__", "")
    inner = ",".join(f'{label}="{escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{inner}}}" if inner else name


def escaped(value: str) -> str:
    """A label's value as it stands between quotes, in a page and in a query."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
