"""Reading a line: `parse` gives a Request, or a DeployError whose `try_` parses.

    line := ["/soc-deploy" | "soc-deploy"] { word | flag }
    flag := "--" name [ ("=" | blank) value ]        the name in full; no abbreviations, no -x
    word := action | target                          at most one of each

Pure, and it never corrects anything by itself: who types a wrong flag gets the right line to type.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from soc_deploy_mcp.core import version
from soc_deploy_mcp.core.command import correct, freetext, tokens
from soc_deploy_mcp.core.command.flags import ACTIONS, BY_NAME, CLOUDS, FLAGS, Flag, of_action
from soc_deploy_mcp.core.command.infer import ENOUGH, Draft, Problem, check, not_a_version, take_words
from soc_deploy_mcp.core.command.known import NOTHING, Known
from soc_deploy_mcp.core.command.render import render
from soc_deploy_mcp.core.command.suggest import nearest
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.request import Request

TEXT_LIMIT = 500  # characters of --reason and --break-glass

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def parse(line: str | Sequence[str], known: Known = NOTHING) -> Request:
    """Read a line as typed, or an argument list. Raises DeployError with a code of the command line."""
    try:
        split = tokens.split(line)
    except tokens.Unreadable as bad:
        draft = understand(bad.salvaged, known)
        raise _error(Problem(bad.code, bad.what, bad.why), draft, known) from None
    given = _separate(split.tokens)
    if freetext.is_free_text(split.tokens, given.words, known):
        raise freetext.error(" ".join(given.words), known)
    draft = _read(given, known)
    if draft.problems:
        raise _error(draft.problems[0], draft, known)
    request = Request(notes=split.notes, **draft.fields)
    if len(render(request)) > tokens.LIMIT:
        problem = Problem("E_LONG", f"With its quotes the line is longer than {tokens.LIMIT:,} characters.")
        draft.fields.pop("reason", None)
        draft.fields.pop("break_glass", None)
        raise _error(problem, draft, known)
    return request


def understand(words: Sequence[str], known: Known = NOTHING) -> Draft:
    """As much of a line as can be understood, with every problem. Never raises."""
    return _read(_separate(words), known)


def _read(given: "_Given", known: Known) -> Draft:
    draft = Draft()
    action = _action_of(given)
    for name, value in given.flags:
        if len(draft.problems) >= ENOUGH:
            break
        _take_flag(draft, name, value, action, known)
    take_words(draft, given.words, known)
    check(draft, known)
    return draft


def _error(problem: Problem, draft: Draft, known: Known) -> DeployError:
    return DeployError(problem.code, problem.what, problem.why, correct.lines(problem, draft, known))


@dataclass
class _Given:
    """Tokens sorted into flags (as spelled, with the value that follows or None) and words."""

    flags: list[tuple[str, str | None]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def _separate(words: Sequence[str]) -> _Given:
    given, at, unknown = _Given(), 0, 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("-"):
            given.words += [word] if word else []
            continue
        name, equals, value = word.partition("=")
        flag = BY_NAME.get(name[2:])
        if flag is None and (unknown := unknown + 1) < ENOUGH:
            flag = _meant(name, None)
        if equals:
            given.flags.append((name, value))
        elif flag and flag.takes_value and at < len(words) and not words[at].startswith("--"):
            given.flags.append((name, words[at]))
            at += 1
        else:
            given.flags.append((name, None))
    return given


def _action_of(given: _Given) -> str | None:
    """The action as far as it can be seen before everything is read: suggestions and choices depend on it."""
    said = [value for name, value in given.flags if name == "--action" and value]
    return next((w.lower() for w in (*given.words, *said) if w.lower() in ACTIONS), None)


def _meant(name: str, action: str | None) -> Flag | None:
    near = _near_flags(name, action)
    return BY_NAME[near[0]] if near else None


def _near_flags(name: str, action: str | None) -> list[str]:
    bare = name.lstrip("-")
    preferred = [flag.name for flag in (of_action(action) if action else FLAGS)]
    return nearest(bare, BY_NAME, prefer=preferred) if len(bare) > 1 else []


def _take_flag(draft: Draft, name: str, value: str | None, action: str | None, known: Known) -> None:
    flag = BY_NAME.get(name[2:]) if name.startswith("--") else None
    if flag is None:
        draft.problems.append(_unknown_flag(name, action))
        flag = _meant(name, action)
        if flag is None:
            return
    read = _value(flag, value, action, known)
    if isinstance(read, Problem):
        draft.problems.append(read)
    elif flag.field not in draft.fields:
        draft.fields[flag.field] = read
    elif draft.fields[flag.field] != read:
        what = f"{flag.spelled} is given twice: {draft.fields[flag.field]} and {read}."
        ways = ({flag.field: draft.fields[flag.field]}, {flag.field: read})
        draft.problems.append(Problem("E_DUPLICATE", what, "Say which one is meant.", ways))


def _unknown_flag(name: str, action: str | None) -> Problem:
    near = [BY_NAME[n].spelled for n in _near_flags(name, action)]
    if near:
        why = f"Did you mean {' or '.join(near)}?"
    elif not name.startswith("--"):
        why = "Flags are spelt in full, such as --environment."
    else:
        takes = of_action(action) if action else FLAGS
        why = f"{action or 'There'} takes {' '.join(flag.spelled for flag in takes)}." if action else ""
    return Problem("E_FLAG_UNKNOWN", f"Unknown flag {name}.", why)


def _value(flag: Flag, value: str | None, action: str | None, known: Known) -> Any:
    """The typed value of a flag, or the problem with it."""
    if not flag.takes_value:
        if value is None:
            return True
        return Problem("E_VALUE", f"{flag.spelled} takes no value.", "It is on when it stands in the line.")
    if value is None:
        return Problem("E_VALUE_MISSING", f"{flag.spelled} needs a value.", f"Write {flag.usage}.")
    match flag.kind:
        case "version":
            return version.canonical(value) or not_a_version(value)
        case "environment":
            return known.environment(value) or _no_choice(flag, value, flag.values, known.environment_words)
        case "service":
            return _service(value, known)
        case "choice":
            return _choice(flag, value, action)
        case "name":
            return value.lower() if _NAME.fullmatch(value) else Problem("E_VALUE", f"{value!r} is no {flag.name}.")
        case _:
            return _text(flag, value)


def _choice(flag: Flag, value: str, action: str | None) -> str | Problem:
    lower, choices = value.lower(), flag.choices(action)
    if lower in choices:
        return lower
    if lower in flag.values:
        kind = ""
        if flag.name == "provider":
            kind = "a cloud provider; " if lower in CLOUDS else "a CI system; "
        what = f"{lower} is {kind}{flag.spelled} takes {', '.join(choices)} with {action}."
        return Problem("E_VALUE", what if kind else f"{flag.spelled} {lower} is not for {action}.", _one_of(choices))
    return _no_choice(flag, value, choices, choices)


def _no_choice(flag: Flag, value: str, choices: Sequence[str], spellings: Sequence[str]) -> Problem:
    near = nearest(value, spellings)
    ways = tuple({flag.field: n} for n in near if n in choices)
    why = f"Did you mean {' or '.join(near)}? " if near else ""
    return Problem("E_VALUE", f"{flag.spelled} does not take {value!r}.", why + _one_of(choices), ways)


def _one_of(choices: Sequence[str]) -> str:
    return f"One of: {', '.join(choices)}." if len(choices) > 1 else f"This version takes {choices[0]} only."


def _service(value: str, known: Known) -> str | Problem:
    if not known.services:
        return value if _NAME.fullmatch(value) else Problem("E_VALUE", f"{value!r} cannot name a service.")
    if name := known.service(value):
        return name
    near = nearest(value, known.services) or list(known.services[:3])
    ways = tuple({"service": name} for name in near)
    what = f"soc-deploy.yaml has no service {value!r}."
    return Problem("E_SERVICE_UNKNOWN", what, f"It has {', '.join(known.services)}.", ways)


def _text(flag: Flag, value: str) -> str | Problem:
    if len(value.strip()) < flag.least:
        least = f"{flag.least} characters or more" if flag.least > 1 else "some text"
        return Problem("E_VALUE", f"{flag.spelled} needs {least}.", "It is stored and shown: say why.")
    if len(value) > TEXT_LIMIT:
        return Problem("E_VALUE", f"{flag.spelled} takes {TEXT_LIMIT} characters at most.")
    return value
