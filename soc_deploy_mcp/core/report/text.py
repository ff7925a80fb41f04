"""Text that goes into Markdown: one line, bounded, without control characters, harmless in a table."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+|\x1b\[[0-9;]*[A-Za-z]")


_METRICS = {
    "synthetic_errors": "errors of our probes",
    "synthetic_latency": "latency of our probes",
    "latency_slo": "latency target",
}


def metric(name: str) -> str:
    """A metric of the judge as people read it."""
    return _METRICS.get(name, name)


def cause(code: str, by: str) -> str:
    """What made a run go back: the code, or, where only a person's word did, `a person (uid:1000)`."""
    return f"a person ({by})" if code == "operator" else code


def one_line(text: str, limit: int) -> str:
    """Control characters and line ends become blanks; what is longer than `limit` ends with an ellipsis."""
    plain = " ".join(_CONTROL.sub(" ", text).split())
    return plain if len(plain) <= limit else plain[: limit - 1].rstrip() + "…"


def cell(text: str, limit: int = 80) -> str:
    """A table cell: bars are escaped after cutting, so that a cut never leaves half an escape."""
    return one_line(text, limit).replace("|", "\\|")


def inline(text: str, limit: int) -> str:
    """Text from outside inside a list item: it can start no heading, box, link, image or HTML."""
    return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", one_line(text, limit))
