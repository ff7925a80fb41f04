"""Where in a query something stands. The parser's messages and nodes carry no positions, people need one."""

import re
from collections.abc import Callable, Iterator

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)"""
    r"""|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)"""
    r"""|(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)"""
    r"""|(?P<number>[0-9.][0-9a-zA-Z.]*)"""
    r"""|(?P<sign>[=!<>]=|[=!]~|.)""",
    re.DOTALL,
)
_CLOSING = {")": "(", "]": "[", "}": "{"}


def tokens(expr: str) -> Iterator[tuple[int, str]]:
    """Offset and text of every token but white space and comments."""
    for match in _TOKEN.finditer(expr):
        if match.lastgroup != "space":
            yield match.start(), match[0]


def column_of(expr: str, *words: str) -> int:
    """The column, counted from 1, of the first token that is one of the words; 1 when there is none."""
    return next((offset + 1 for offset, token in tokens(expr) if token in words), 1)


def column_of_failure(expr: str, message: str, parses: Callable[[str], bool]) -> int:
    """The column at which a query stops making sense.

    In this order: a bracket without its partner, a name that the parser's message quotes, the token behind the longest
    beginning that parses.
    """
    if (unmatched := _unmatched(expr)) is not None:
        return unmatched + 1
    quoted = re.findall(r"'([^']+)'", message)
    if (named := column_of(expr, *quoted)) > 1 or expr.lstrip().startswith(tuple(quoted)):
        return named
    found = list(tokens(expr))
    for offset, _ in reversed(found[1:]):
        if parses(expr[:offset]):
            return offset + 1
    return found[0][0] + 1 if found else 1


def _unmatched(expr: str) -> int | None:
    open_: list[tuple[int, str]] = []
    for offset, token in tokens(expr):
        if token in _CLOSING.values():
            open_.append((offset, token))
        elif token in _CLOSING and (not open_ or open_.pop()[1] != _CLOSING[token]):
            return offset
    return open_[-1][0] if open_ else None
