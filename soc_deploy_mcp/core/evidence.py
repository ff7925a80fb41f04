"""Evidence, facts and checks: nothing may tick a box but a check that names the evidence it read."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import model_validator

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.ids import EvidenceId, Instant
from soc_deploy_mcp.core.model import Noun


class Evidence(Noun):
    """Something observed: by which tool, asked how, with which figure, when, and the digest of the raw answer."""

    kind: str  # observation, artifact, tests, metrics, …
    subject: str  # what it is about: a digest, a commit, a target name
    tool: str
    query: str  # command or query, redacted
    figure: str  # one line for people
    at: Instant
    raw: str  # sha256 of the raw output
    data: dict[str, Any] = {}  # typed by kind; plain JSON

    def __bool__(self) -> Literal[True]:
        return True

    @property
    def id(self) -> EvidenceId:
        return EvidenceId("ev_" + digest(self.to_json())[:16])


def observed(
    kind: str, subject: str, *, tool: str, query: str, figure: str, at: Instant, data: dict[str, Any] | None = None
) -> Evidence:
    """Evidence whose raw output is its own data."""
    data = data or {}
    return Evidence(
        kind=kind, subject=subject, tool=tool, query=query, figure=figure, at=at, raw=digest([figure, data]), data=data
    )


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no usable evidence, and why."""

    reason: str

    def __bool__(self) -> Literal[False]:
        return False


class Facts:
    """An index of evidence by (kind, subject) at one moment. What is stale is missing."""

    def __init__(self, evidence: Iterable[Evidence], now: Instant) -> None:
        self.now = now
        self.all = tuple(evidence)
        self._index = {(e.kind, e.subject): e for e in self.all}

    def get(self, kind: str, subject: str, max_age: float | None = None) -> Evidence | Missing:
        found = self._index.get((kind, subject))
        if found is None:
            return Missing(f"no {kind} of {subject}")
        age = self.now - found.at
        if max_age is not None and age > max_age:
            return Missing(f"stale, {age:.0f} s > {max_age:.0f} s")
        return found

    def only(self, kind: str, max_age: float | None = None) -> Evidence | Missing:
        """The evidence of a kind that has one subject in this run."""
        found = [e for e in self.all if e.kind == kind]
        if len(found) != 1:
            return Missing(f"no {kind}" if not found else f"{len(found)} subjects of {kind}")
        return self.get(kind, found[0].subject, max_age)


class CheckState(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    PARTIAL = "partial"
    NOT_RUN = "not_run"
    WAIVED = "waived"


class Check(Noun):
    """A claim with its evidence. `passed` and `partial` without evidence cannot be made."""

    id: str  # g.tests, h.observed, …
    title: str
    state: CheckState
    figure: str = ""  # in brackets behind the title
    reason: str = ""  # why it is open
    evidence: tuple[EvidenceId, ...] = ()
    required: bool = True

    @model_validator(mode="after")
    def _green_needs_evidence(self) -> Self:
        if self.state in (CheckState.PASSED, CheckState.PARTIAL) and not self.evidence:
            raise ValueError(f"check {self.id} cannot be {self.state} without evidence")
        if self.state in (CheckState.FAILED, CheckState.NOT_RUN, CheckState.WAIVED) and not self.reason:
            raise ValueError(f"check {self.id} is {self.state} without a reason")
        return self

    @property
    def blocks(self) -> bool:
        """Does it close the gate? A partial check does not; a waived one was accepted by name."""
        return self.required and self.state in (CheckState.FAILED, CheckState.NOT_RUN)


def passed(id_: str, title: str, evidence: Evidence | Iterable[Evidence], figure: str = "") -> Check:
    read = (evidence,) if isinstance(evidence, Evidence) else tuple(evidence)
    return Check(id=id_, title=title, state=CheckState.PASSED, figure=figure, evidence=tuple(e.id for e in read))
