"""Text or an argument list becomes tokens. Clients quote differently; after this step all lines look alike.

Nothing is expanded: a placeholder that somebody forgot to fill in is an error, not a version.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LIMIT: Final = 2_000  # characters of a line

_COMMANDS = frozenset({"/soc-deploy", "soc-deploy", "/soc-deploy:soc-deploy", "$soc-deploy"})  # as clients spell it
_TAGS = re.compile(r"\s*<user-instruction>(.*)</user-instruction>\s*", re.DOTALL)
_UNFILLED = re.compile(r"\$\(|\$\{|`|\$ARGUMENTS\b")
_DOUBLE, _SINGLE, _DASHES = "“”„‟", "‘’‚‛", "–—−‒―"
_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_TYPOGRAPHIC = frozenset(_DOUBLE + _SINGLE + _DASHES + _SPACES)
_DASH_RUN = re.compile(rf"[-{_DASHES}]*[{_DASHES}][-{_DASHES}]*(?=[A-Za-z])")
_TEXT_FLAG = re.compile(r"--(?:reason|break-glass)\b")

QUOTES_NOTE: Final = "typographic quotes were read as plain ones"
DASHES_NOTE: Final = "typographic dashes were read as --"


@dataclass(frozen=True, slots=True)
class Split:
    tokens: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Unreadable(Exception):
    """The text has no tokens. `salvaged` is what can be made out of it, for a suggestion and nothing else."""

    def __init__(self, code: str, what: str, why: str, salvaged: tuple[str, ...]) -> None:
        super().__init__(what)
        self.code, self.what, self.why, self.salvaged = code, what, why, salvaged


def split(line: str | Sequence[str]) -> Split:
    """Tokens of a line, without the command word. Raises Unreadable: E_LONG, E_CHARS, E_QUOTE."""
    whole = line if isinstance(line, str) else " ".join(line)
    if len(whole) > LIMIT:
        raise Unreadable("E_LONG", f"The line has {len(whole):,} characters; {LIMIT:,} are the limit.", "", ())
    _refuse_signs(whole, whole)
    tokens, notes = _words(line) if isinstance(line, str) else _arguments(line)
    tokens = _without_command(tokens)
    for _ in range(2):  # a client may hand over the whole command as one quoted string
        if len(tokens) != 1 or not any(c.isspace() for c in tokens[0]):
            break
        tokens, more = _words(tokens[0])
        tokens, notes = _without_command(tokens), notes + more
    for token in tokens:
        _refuse_signs(token, whole, inside_a_value=True)
    return Split(tuple(tokens), tuple(dict.fromkeys(notes)))


def _words(text: str) -> tuple[list[str], list[str]]:
    if tagged := _TAGS.fullmatch(text):
        text = tagged[1]
    plain, notes, open_at = _scan(text) if not _TYPOGRAPHIC.isdisjoint(text) else (text, [], None)
    try:
        return shlex.split(plain), notes
    except ValueError:
        *_, open_at = _scan(text)
    where = f"at character {open_at + 1}" if open_at is not None else "at the end: a backslash before nothing"
    why = "Close it, or leave quotes out: only values with blanks need them."
    raise Unreadable("E_QUOTE", f"A quote is not closed, {where}.", why, salvage(text))


def _arguments(line: Sequence[str]) -> tuple[list[str], list[str]]:
    tokens, notes = list(line), list[str]()
    if len(tokens) > 1 and tokens[0].startswith("<user-instruction>") and tokens[-1].endswith("</user-instruction>"):
        tokens[0] = tokens[0].removeprefix("<user-instruction>")
        tokens[-1] = tokens[-1].removesuffix("</user-instruction>")
    for index, token in enumerate(tokens):
        bare = token
        if len(token) > 1 and token[0] in _DOUBLE + _SINGLE and token[-1] in _DOUBLE + _SINGLE:
            bare = token[1:-1]
            notes.append(QUOTES_NOTE)
        elif (run := _DASH_RUN.match(token)) and not any(c.isspace() for c in token):
            bare = "--" + token[run.end() :]
            notes.append(DASHES_NOTE)
        tokens[index] = bare
    return tokens, notes


def _without_command(tokens: list[str]) -> list[str]:
    return tokens[1:] if tokens and tokens[0] in _COMMANDS else tokens


def _refuse_signs(text: str, whole: str, inside_a_value: bool = False) -> None:
    if unfilled := _UNFILLED.search(text):
        what = f"{unfilled[0]} stands in the line: the pipeline or client did not fill in a placeholder."
        raise Unreadable("E_CHARS", what, "Nothing is expanded here.", salvage(whole))
    if text.isprintable():
        return
    allowed = _SPACES if inside_a_value else _SPACES + "\t\r\n"
    for position, character in enumerate(text):
        if not character.isprintable() and character not in allowed:
            place = "a value" if inside_a_value else f"character {position + 1}"
            name = "a line break" if character in "\r\n" else f"the control character U+{ord(character):04X}"
            raise Unreadable("E_CHARS", f"There is {name} in {place}.", "A value is one line of text.", salvage(whole))


def _scan(text: str) -> tuple[str, list[str], int | None]:
    """Typographic quotes, dashes and blanks made plain, outside plain quotes; and where an open quote stands.

    An apostrophe between two letters (it’s) is no quote.
    """
    out: list[str] = []
    notes: list[str] = []
    closing, opened_at, at = "", 0, 0  # closing: the characters that end the open quote
    while at < len(text):
        character, step = text[at], 1
        apostrophe = character in "’" and text[at - 1 : at].isalnum() and text[at + 1 : at + 2].isalnum()
        if closing:
            if character in closing and not apostrophe:
                out.append(closing[0])
                closing = ""
            elif character == "\\" and closing[0] == '"':
                step = 2
                out.append(text[at : at + 2])
            else:
                out.append(character)
        elif character == "\\":
            step = 2
            out.append(text[at : at + 2])
        elif character in "\"'":
            out.append(character)
            closing, opened_at = character, at
        elif character in _DOUBLE + _SINGLE and not apostrophe:
            closing, opened_at = ('"' + _DOUBLE if character in _DOUBLE else "'" + _SINGLE), at
            out.append(closing[0])
            notes.append(QUOTES_NOTE)
        elif character in _SPACES:
            out.append(" ")
        elif (at == 0 or text[at - 1].isspace()) and (run := _DASH_RUN.match(text, at)):
            step = len(run[0])
            out.append("--")
            notes.append(DASHES_NOTE)
        else:
            out.append(character)
        at += step
    return "".join(out), notes, opened_at if closing else None


def salvage(text: str) -> tuple[str, ...]:
    """The tokens that can be made out in unreadable text. Free text of flags is left out: its end is unknown."""
    text = re.sub(r"\$\{\{.*?\}\}|\$\{.*?\}|\$\(.*?\)|`[^`]*`|\$ARGUMENTS|</?user-instruction>", " ", text)
    text = re.sub(rf"[\"'`\\{_DOUBLE}{_SINGLE}]", "", text)
    text = "".join(c if c.isprintable() else " " for c in text)
    tokens: list[str] = []
    in_text = False
    for token in _without_command(text.split()):
        in_text = bool(_TEXT_FLAG.match(token)) or (in_text and not token.startswith("--"))
        if not in_text:
            tokens.append(token)
    return tuple(tokens)
