"""What the words of a line mean, and whether words and flags fit together: the tables of the command grammar.

Problems are values, not exceptions: the first is shown, and all of them are mended in the line that is suggested.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from soc_deploy_mcp.core import version
from soc_deploy_mcp.core.command.flags import ACTIONS, BY_FIELD
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.command.suggest import nearest

Meaning = Mapping[str, str]  # fields of a Request that a word sets, or {"scope": "ci-cd"}, {"action": …}

INFRASTRUCTURE: Final = ("infrastructure", "infra")
PIPELINE: Final = ("ci-cd", "cicd", "ci")
DEFAULT_STACK: Final = "default"
NEEDS_ENVIRONMENT: Final = ("deploy", "rollback", "provision")
HAS_SERVICE: Final = ("deploy", "rollback", "monitor")
HAS_STACK: Final = ("provision", "monitor")
ENOUGH: Final = 4  # problems: one is shown, a few are mended; a line of nonsense must not cost a second

_NO_VERSION = frozenset({"latest", "newest", "main", "master", "develop", "trunk", "head"})
_LIKE_A_VERSION = re.compile(r"v?\d[\w.+-]*|(?:refs|origin|feature|release|hotfix|bugfix)/.+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `choices` are ways out: fields to put over those that were understood."""

    code: str
    what: str
    why: str = ""
    choices: tuple[Mapping[str, str], ...] = ()


@dataclass
class Draft:
    """What was understood so far."""

    fields: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    from_words: set[str] = field(default_factory=set)  # fields that a word set, not a flag
    scope: bool = False  # the pipeline was named as target


def meaning(word: str, known: Known) -> Meaning | Problem | None:
    """The first reading of a word that applies; None when it has none."""
    lower = word.lower()
    if lower in ACTIONS:
        return {"action": lower}
    if environment := known.environment(word):
        return {"environment": environment}
    if canonical := version.canonical(word):
        return {"version": canonical}
    if service := known.service(word):
        return {"service": service}
    if stack := known.stack(word):
        return {"stack": stack}
    if lower in INFRASTRUCTURE:
        return {"stack": DEFAULT_STACK}
    if both := _with_environment(lower, word, known):
        return both
    if lower in PIPELINE:
        return {"scope": PIPELINE[0]}
    if lower in _NO_VERSION or _LIKE_A_VERSION.fullmatch(word):
        return not_a_version(word)
    return None


def not_a_version(text: str) -> Problem:
    return Problem(
        "E_VERSION",
        f"{text!r} is no semantic version.",
        "Releases are named by a tag such as v2.1.0: a branch or `latest` would mean something else tomorrow.",
    )


def _with_environment(lower: str, word: str, known: Known) -> Meaning | None:
    """`staging-infrastructure`, `shop-prod`: an environment joined to a stack or a service."""
    for spelled in known.environment_words:
        rest = ""
        if lower.startswith(f"{spelled}-"):
            rest = word[len(spelled) + 1 :]
        elif lower.endswith(f"-{spelled}"):
            rest = word[: -len(spelled) - 1]
        environment = known.environment(spelled)
        if not rest or environment is None:
            continue
        if rest.lower() in INFRASTRUCTURE:
            return {"environment": environment, "stack": DEFAULT_STACK}
        if stack := known.stack(rest):
            return {"environment": environment, "stack": stack}
        if service := known.service(rest):
            return {"environment": environment, "service": service}
    return None


def target_words(known: Known) -> tuple[str, ...]:
    return (*known.environment_words, *known.services, *known.stacks, *INFRASTRUCTURE, *PIPELINE)


def take_words(draft: Draft, words: Sequence[str], known: Known) -> None:
    """Put the meaning of every word into the draft."""
    target: dict[str, str] = {}
    for word in words:
        if len(draft.problems) >= ENOUGH:
            break
        read = meaning(word, known)
        if read is None:
            draft.problems.append(_unknown_target(word, known, draft.fields.get("action")))
        elif isinstance(read, Problem):
            draft.problems.append(read)
        elif "action" in read:
            _agree(draft, "action", read["action"], "The word", "--action")
        elif target and dict(read) != target:
            draft.problems.append(_second_target(target, read, word))
            target = {**read, **target}
        else:
            target = dict(read)
    draft.scope = target.pop("scope", "") != ""
    for name, value in target.items():
        _agree(draft, name, value, "The target", f"--{name}")


def _agree(draft: Draft, name: str, value: str, who: str, flag: str) -> None:
    other = draft.fields.get(name)
    if other is None:
        draft.fields[name] = value
        draft.from_words.add(name)
    elif other != value:
        second = f"{flag} {other}" if name not in draft.from_words else f'the word "{other}"'
        what = f'{who} "{value}" and {second} name different {name}s.'
        choices = ({name: value}, {name: other})
        draft.problems.append(Problem("E_CONFLICT", what, "Say which one is meant.", choices))


def _unknown_target(word: str, known: Known, action: str | None) -> Problem:
    near = nearest(word, (*target_words(known), *(() if action else ACTIONS)))
    readings = [read for n in near if isinstance(read := meaning(n, known), Mapping) and "scope" not in read]
    kinds = "an environment, a version, a service, infrastructure or ci-cd"
    why = f"Did you mean {' or '.join(near)}?" if near else f"A target is {kinds}."
    return Problem("E_TARGET", f'"{word}" is no target that is known.', why, tuple(readings))


def _second_target(first: Meaning, second: Meaning, word: str) -> Problem:
    why = "A line has one target; the rest is said with flags."
    clash = any(first[name] != value for name, value in second.items() if name in first)
    choices = (dict(first), dict(second)) if clash else ()
    return Problem("E_TARGET_MANY", f'"{word}" is a second target.', why, choices)


def check(draft: Draft, known: Known) -> None:
    """Add the problems of the whole: what is missing, and what does not belong together. Fills in the only service."""
    action = draft.fields.get("action")
    if action is None:
        why = f"One of: {', '.join(ACTIONS)}."
        draft.problems.append(Problem("E_ACTION_MISSING", "--action is required.", why))
        return
    _belongs(draft, action)
    _fits(draft, action)
    _is_complete(draft, action, known)


def _belongs(draft: Draft, action: str) -> None:
    fields = draft.fields
    for name in list(fields):
        flag = BY_FIELD.get(name)
        if flag is not None and action not in flag.actions:
            if name in draft.from_words:
                what = f"{fields[name]} is a {name}, and {action} takes none as target."
                draft.problems.append(Problem("E_TARGET", what, _takers(flag.actions, "A target like that")))
            else:
                what = f"{flag.spelled} does not belong to {action}."
                draft.problems.append(Problem("E_FLAG_ACTION", what, _takers(flag.actions, "It")))
    if "stack" in fields and action not in HAS_STACK:
        what = f"Infrastructure is no target of {action}."
        draft.problems.append(Problem("E_TARGET", what, _takers(HAS_STACK, "It")))
    if draft.scope and action != "pipeline":
        what = f"The CI pipeline is no target of {action}."
        draft.problems.append(Problem("E_TARGET", what, _takers(("pipeline",), "It")))


def _takers(actions: Sequence[str], subject: str) -> str:
    *most, last = actions
    return f"{subject} goes with {', '.join(most)} and {last}." if most else f"{subject} goes with {last}."


def _fits(draft: Draft, action: str) -> None:
    fields = draft.fields
    strategy = fields.get("strategy")
    if fields.get("accept_downtime") and not may_have_downtime(action, strategy):
        what = "--accept-downtime goes with --strategy recreate only."
        why = f"{strategy or 'rolling, the default,'} has no downtime to accept."
        draft.problems.append(Problem("E_FLAG_ACTION", what, why))


def may_have_downtime(action: str, strategy: str | None) -> bool:
    """A rollback without a strategy reverses the last deploy, which may have been `recreate`."""
    return strategy == "recreate" or (action == "rollback" and strategy is None)


def _is_complete(draft: Draft, action: str, known: Known) -> None:
    fields = draft.fields
    if action in NEEDS_ENVIRONMENT and "environment" not in fields:
        choices = tuple({"environment": name} for name in ("dev", "staging", "prod"))
        what = f"{action.capitalize()} needs an environment."
        why = "Name dev, staging or prod as target or with --environment."
        draft.problems.append(Problem("E_ENV_MISSING", what, why, choices))
    if action == "deploy" and "version" not in fields:
        why = "Say which with --version, such as --version v2.1.0."
        draft.problems.append(Problem("E_VERSION_MISSING", "Deploy needs a version.", why))
    if action in HAS_SERVICE and "stack" not in fields and "service" not in fields and known.services:
        if len(known.services) == 1:
            fields["service"] = known.services[0]
        else:
            names = ", ".join(known.services)
            choices = tuple({"service": name} for name in known.services[:3])
            what = "The project has several services and none was named."
            draft.problems.append(Problem("E_SERVICE_MISSING", what, f"One of: {names}.", choices))
