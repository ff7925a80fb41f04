"""The names nearest to a mistyped one."""

from collections.abc import Iterable
from difflib import SequenceMatcher

_NEAR = 2  # edits
_LONGEST = 64  # characters; a longer word is no typing mistake
_ALIKE = 0.6  # difflib ratio


def nearest(word: str, choices: Iterable[str], n: int = 2, prefer: Iterable[str] = ()) -> list[str]:
    """At most `n` choices within two edits or with a ratio of 0.6, nearest first; `prefer` wins a near tie.

    A word that is the beginning of a choice is near to it: abbreviations are the commonest mistake.
    """
    word, preferred = word.lower(), frozenset(prefer)
    if len(word) > _LONGEST:
        return []
    scored = []
    for choice in dict.fromkeys(choices):
        edits = distance(word, choice.lower(), _NEAR)
        ratio = SequenceMatcher(None, word, choice.lower()).ratio()
        begins = len(word) > 1 and choice.lower().startswith(word)
        if begins or edits <= min(_NEAR, len(word) // 2) or ratio >= _ALIKE:
            scored.append((choice not in preferred and edits > 1, not begins, edits, -ratio, choice))
    return [choice for *_, choice in sorted(scored)[:n]]


def distance(a: str, b: str, most: int = 100) -> int:
    """Damerau-Levenshtein distance (adjacent transpositions, each place edited once); `most` + 1 when it is more."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return min(last[-1], most + 1)
