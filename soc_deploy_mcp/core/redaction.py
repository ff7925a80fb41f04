"""The redactor: the last thing before any output.

Three nets, because each has holes: the secrets that were resolved (in every form a program may print them), patterns
of well-known credentials, and names of keys. References (`env:NAME`, `file:/path`) are no secrets and stay readable.
`text(text(x)) == text(x)`.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

MARK = "[redacted]"
MIN_LENGTH = 6  # shorter values would redact harmless text everywhere

_LINE_CAP = 65_536  # a line longer than this is cut: a stream must not be held back for ever
_PEM_REACH = 16_384  # characters of a private key; an expression without a bound costs quadratic time
_LINE_MIN = 12  # lines of a secret of many lines: shorter ones are too common

# A whole match is a secret. Word edges keep longer harmless words out.
_TOKENS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{36,}"
    r"|github_pat_\w{60,}"
    r"|xox[abposr]-[A-Za-z0-9-]{10,}"
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"  # JSON Web Token (RFC 7519): two JSON objects in base64url
    r"|hooks\.slack\.com/(?:services|workflows|triggers)/[\w/+=-]+"
    r")"
)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----"
    rf"(?:.{{0,{_PEM_REACH}}}?-----END [A-Z0-9 ]{{0,40}}PRIVATE KEY-----|[\w\s+/=:,\\-]*)",
    re.DOTALL,
)
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_USERINFO = re.compile(r"(://[^\s/:@\"']*:)[^\s/\"']+(?=@)")  # RFC 3986, 3.2.1
_COOKIE = re.compile(r"((?:set-)?cookie\\?[\"']?[ \t]{0,4}:[ \t]{0,4})[^\r\n]{6,}", re.IGNORECASE)

_SECRET_WORD = (
    r"(?:pass(?:word|wd|phrase)|secret|token(?!s\b|iz|is)|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credential|authorization)"
)
_NO_SECRET = r"(?![\w-]{0,24}(?:file|path|name|url|uri|type|count|[_-]id)\b)"  # password_file, secretName, token_url
_ASSIGNMENT = re.compile(
    rf"(?P<head>{_SECRET_WORD}{_NO_SECRET}[\w-]{{0,24}}\\?[\"']?[ \t]{{0,4}}(?::=|=>|[:=])[ \t]{{0,4}}"
    r"(?:\\?[\"']?(?:bearer|basic|digest)[ \t]+)?)"
    r"(?:(?P<quote>\\?[\"'])(?P<quoted>(?:(?!(?P=quote))[^\r\n]){6,4096})(?P=quote)"
    r"|(?P<plain>\\?[\"']?(?:[^\s\"'&;,\\]|\\(?![\"'])){6,}))",
    re.IGNORECASE,
)
_OPTION = re.compile(
    rf"(?P<head>--(?:[a-z0-9]+-){{0,4}}{_SECRET_WORD}{_NO_SECRET}[\w-]{{0,24}}[ \t]+)"
    r"(?P<value>[^\s\"'-][^\s\"']{5,})",
    re.IGNORECASE,
)
_HINTS = ("pass", "secret", "token", "key", "credential", "authorization")
_HARMLESS = re.compile(
    r"(?:env:|file:/|vault:|aws-sm:|gcp-sm:|op://)\S+"  # references
    r"|\$[A-Z_][A-Z0-9_]*|\$\{[^}]*\}?\}?|\$\(.*|\{\{?[^{}]*\}?\}?|<[^<>]*>|%[A-Z_]+%"  # placeholders
    r"|[xX*.•]+|" + re.escape(MARK)
)

# Keys of mappings, after camelCase was split: words that may stand inside others need an edge.
_KEY = re.compile(
    r"password|passwd|passphrase|secret|(?<![a-z])(?:pass|pwd)(?![a-z])|token(?!iz|is)|api[_-]?key|access[_-]?key"
    r"|authorization|(?<![a-z])cookie|private[_-]?key|credential|(?<![a-z])dsn(?![a-z])|(?<![a-z])webhook(?![a-z])"
)
_KEY_OF_NO_SECRET = re.compile(r"(?:file|path|name|url|uri|type|count|[_-]id)s?$")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_REFERENCE = re.compile(r"(?:env:[A-Za-z_]\w*|file:/\S+|(?:vault|aws-sm|gcp-sm):\S+|op://\S+)")


class Redactor:
    """Knows the secrets of this process. Values are only ever added."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.longest_with_newline = 0  # characters; 0: no form holds a line break
        for value in values:
            self.add(value)

    def add(self, value: str, name: str = "") -> bool:
        """Register a secret. False when it is too short to be found safely: then only `name=value` forms are."""
        new = set(forms(value)) if len(value) >= MIN_LENGTH else set(_short_forms(value, name))
        if not new <= self._forms:
            self._forms |= new
            # The mark comes first, so that a secret such as "redacted" cannot match inside it.
            self._known = re.compile(f"{re.escape(MARK)}|{_trie(self._forms)}")
            self.longest_with_newline = max((len(f) for f in self._forms if "\n" in f), default=0)
        return len(value) >= MIN_LENGTH

    def text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MARK, text)
        if "PRIVATE KEY-----" in text:
            text = _PEM.sub(MARK, text)
        text = _TOKENS.sub(MARK, text)
        if "://" in text and "@" in text:
            text = _USERINFO.sub(rf"\1{MARK}", text)
        lower = text.lower()  # a dozen plain searches cost less than one expression that ignores case
        if any(hint in lower for hint in _HINTS):
            text = _OPTION.sub(_option, _ASSIGNMENT.sub(_assignment, text))
        return _COOKIE.sub(rf"\1{MARK}", text) if "cookie" in lower else text

    def walk(self, value: Any) -> Any:
        """A copy of plain JSON data: texts redacted, values under secret keys gone (unless empty or boolean)."""
        return self._walk(value, hide=False)

    def stream(self) -> "Stream":
        return Stream(self)

    def known_spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where registered values stand."""
        if self._known is not None:
            yield from (match.span() for match in self._known.finditer(text))

    def _walk(self, value: Any, hide: bool) -> Any:
        if isinstance(value, dict):
            return {self.text(str(k)): self._walk(v, hide or _names_secret(str(k), v)) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._walk(item, hide) for item in value]
        if isinstance(value, str):
            return self.text(value) if not value or not hide or _REFERENCE.fullmatch(value) else MARK
        return MARK if hide and value is not None and not isinstance(value, bool) else value


class Stream:
    """Redacts text that arrives in pieces: a secret split over two of them is caught.

    Whole lines are let through; an open line, an open private key and the reach of a secret of many lines are held.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor, self._held = redactor, ""

    def feed(self, piece: str) -> str:
        self._held += piece
        cut = self._safe_cut()
        ready, self._held = self._held[:cut], self._held[cut:]
        return self._redactor.text(ready) if ready else ""

    def close(self) -> str:
        rest, self._held = self._held, ""
        return self._redactor.text(rest)

    def _safe_cut(self) -> int:
        text = self._held
        cut = text.rfind("\n") + 1
        if reach := self._redactor.longest_with_newline:
            cut = text.rfind("\n", 0, max(0, min(cut, len(text) - reach + 1))) + 1
        cut = self._before_open_key(text, cut)
        known = tuple(self._redactor.known_spans(text))
        for start, end in reversed(known):
            if start < cut < end:
                cut = text.rfind("\n", 0, start) + 1
        if cut == 0 and len(text) > _LINE_CAP:
            half = len(text) - _LINE_CAP // 2
            cut = next((start for start, end in known if start < half < end), half)
        return cut

    @staticmethod
    def _before_open_key(text: str, cut: int) -> int:
        if len(text) > _LINE_CAP:
            return cut
        begins = [match.start() for match in _PEM_BEGIN.finditer(text)]
        if not begins or _PEM_END.search(text, begins[-1]):
            return cut
        return min(cut, text.rfind("\n", 0, begins[-1]) + 1)


def forms(value: str) -> Iterator[str]:
    """Every spelling in which programs print a secret: raw, escaped, URL-quoted, hex, base64 at three alignments."""
    raw = value.encode("utf-8", "surrogatepass")
    yield value
    yield from (line for line in value.splitlines() if len(line.strip()) >= _LINE_MIN and line != value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield html.escape(value)
    yield value.replace("'", "'\"'\"'")  # as shlex.quote writes it
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield quoted
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    yield raw.hex()
    yield raw.hex().upper()
    for shift in range(3):
        yield from _base64_core(raw, shift)


def _base64_core(raw: bytes, shift: int) -> Iterator[str]:
    """The characters that depend on nothing but the secret when `shift` other bytes come before it (RFC 4648, 4)."""
    whole = (8 * (shift + len(raw))) // 6
    first = -(-8 * shift // 6)
    padded = b"\0" * shift + raw
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(padded).decode()[first:whole]


def _short_forms(value: str, name: str) -> Iterator[str]:
    if value and name:
        yield from (f"{name}={value}", f"{name}: {value}", f'"{name}": "{value}"', f'"{name}":"{value}"')


def _trie(words: Iterable[str]) -> str:
    """One expression that finds the longest of many words: shared beginnings are looked at once."""
    root: dict[str, Any] = {}
    for word in words:
        node = root
        for character in word:
            node = node.setdefault(character, {})
        node[""] = {}
    return _branch(root)


def _branch(node: dict[str, Any]) -> str:
    text = ""
    while len(node) == 1 and "" not in node:  # a chain needs no group, and long secrets no deep recursion
        [(character, node)] = node.items()
        text += re.escape(character)
    ends = "" in node
    branches = [re.escape(character) + _branch(child) for character, child in sorted(node.items()) if character]
    if not branches:
        return text
    group = f"(?:{'|'.join(branches)})"
    return f"{text}(?:{group})?" if ends else text + group


def _assignment(match: re.Match[str]) -> str:
    quoted, mark = match["quoted"], match["quote"]
    if quoted is not None:
        return match[0] if _HARMLESS.fullmatch(quoted) else f"{match['head']}{mark}{MARK}{mark}"
    opening = re.match(r"\\?[\"']?", match["plain"])
    lead = opening[0] if opening else ""
    plain = match["plain"][len(lead) :]
    return match[0] if _HARMLESS.fullmatch(plain) else f"{match['head']}{lead}{MARK}"


def _option(match: re.Match[str]) -> str:
    return match[0] if _HARMLESS.fullmatch(match["value"]) else match["head"] + MARK


def _names_secret(key: str, value: Any) -> bool:
    words = _CAMEL.sub("_", key).lower()
    if not _KEY.search(words) or _KEY_OF_NO_SECRET.search(words):
        return False
    # A number of tokens is a count.
    return not (words.endswith("tokens") and isinstance(value, (int, float)))
