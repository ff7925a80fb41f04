"""The one shape of every answer.

Some clients show their model the text alone, some the structured content alone: both hold everything, and each stays
within what a model should read. The text ends in one line for those that see text only:

    --- soc-deploy: state=running run=run_… next: status(run_id="run_…", wait_s=40)
"""

import json
from collections.abc import Sequence
from typing import Any

from mcp.types import CallToolResult, ContentBlock, ResourceLink, TextContent
from pydantic import BaseModel, Field

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.interfaces.doors import RunView

LIMIT = 8_000  # bytes that a model reads of one answer
FULL_LIMIT = 40_000
ROOM = 1_500  # bytes of those that are not the report: what comes next, the footer, quotes

_WAITS = "**NOT DEPLOYED: waits for approval**"
_BAD = frozenset({"refused", "unknown", "rolled_back", "failed_no_change", "needs_operator"})
_BETWEEN = " | "


class Outcome(BaseModel):
    """What every tool answers. `state` is that of the run in lower case; or refused: nothing was started; answered:
    it is about no single run; unknown: the daemon cannot say. `error` has the keys code, what, why, try."""

    state: str
    report_markdown: str
    run_id: str | None = None
    next: list[str] = Field([], description="what to do now: tool calls, or commands for a person")
    error: dict[str, str] | None = None
    data: dict[str, Any] | None = None


def of_view(view: RunView, report: str, note: str = "") -> Outcome:
    """A run as it is. `report` is its report, or the running form of it."""
    lines = [_WAITS] if view.state is State.WAITING_APPROVAL else []
    if view.first_line and view.first_line not in "\n".join([*lines, report]):
        lines.append(view.first_line)
    return Outcome(
        state=view.state.value.lower(),
        report_markdown="\n\n".join([*lines, report]),
        run_id=view.id,
        next=[" ".join(step.split()) for step in _next(view)],
        data=_data(view, note),
    )


def of_error(error: DeployError, state: str = "refused") -> Outcome:
    said = [f"**{error.code}** {error.what}", error.why, f"Try:\n```\n{error.try_}\n```" if error.try_ else ""]
    steps = [line.strip() for line in error.try_.splitlines() if line.strip()]
    return Outcome(state=state, report_markdown="\n\n".join(filter(None, said)), error=error.to_json(), next=steps)


def of_look(markdown: str, data: dict[str, Any], then: Sequence[str] = ()) -> Outcome:
    """An answer that is about no single run."""
    return Outcome(state="answered", report_markdown=markdown, data=data, next=list(then))


def to_result(outcome: Outcome, limit: int = LIMIT) -> CallToolResult:
    fitted = fit(outcome, limit)
    content: list[ContentBlock] = [TextContent(type="text", text=text_of(fitted))]
    if fitted.run_id:
        content.append(
            ResourceLink(type="resource_link", uri=report_uri(fitted.run_id), name="report", mime_type="text/markdown")
        )
    structured = structure_of(fitted)
    return CallToolResult(content=content, structured_content=structured, is_error=outcome.state in _BAD)


def fit(outcome: Outcome, limit: int) -> Outcome:
    """The same outcome, its report cut so that the text and the structured content each have `limit` bytes at most."""
    text = outcome.report_markdown
    more = f"\n\n… cut; all of it: {report_uri(outcome.run_id)}" if outcome.run_id else "\n\n… cut"
    keep = len(text.encode()) - len(more.encode())
    while (over := _size(outcome) - limit) > 0:
        if keep <= 0:
            return outcome.model_copy(update={"data": None, "next": outcome.next[:1]})
        keep -= over
        outcome = outcome.model_copy(update={"report_markdown": _cut(text, keep) + more})
    return outcome


def text_of(outcome: Outcome) -> str:
    note = (outcome.data or {}).get("note", "")
    return "\n\n".join(filter(None, [outcome.report_markdown, note, footer(outcome)]))


def footer(outcome: Outcome) -> str:
    words = ["--- soc-deploy:", f"state={outcome.state}"]
    if outcome.run_id:
        words.append(f"run={outcome.run_id}")
    if outcome.error:
        words.append(f"error={outcome.error['code']}")
    return " ".join([*words, "next:", _BETWEEN.join(outcome.next) or "nothing"])


def structure_of(outcome: Outcome) -> dict[str, Any]:
    """Plain JSON without empty parts: the published schema has no null."""
    return outcome.model_dump(mode="json", exclude_none=True)


def report_uri(run: str | None) -> str:
    return f"deployment://{run}/report"


def status_call(run: str) -> str:
    return f'status(run_id="{run}", wait_s=40)'


def _next(view: RunView) -> list[str]:
    if view.state.terminal:
        return list(view.next)
    person = [view.waiting.command] if view.waiting else []
    rest = [step for step in view.next if step not in person]
    return [*person, status_call(view.id), *rest]


def _data(view: RunView, note: str) -> dict[str, Any]:
    data: dict[str, Any] = {"line": view.line, "done": view.done, "total": view.total, "exit": view.exit}
    if view.plan_hash:
        data["plan_hash"] = view.plan_hash
    if view.joined:
        data["joined"] = True
    if view.waiting:
        data["approval"] = {"command": view.waiting.command, "expires_at": view.waiting.expires_at}
    if note:
        data["note"] = note
    return data | {"report_uri": report_uri(view.id)}


def _size(outcome: Outcome) -> int:
    structured = json.dumps(structure_of(outcome), ensure_ascii=False)
    return max(len(text_of(outcome).encode()), len(structured.encode()))


def _cut(text: str, keep: int) -> str:
    """At most `keep` bytes, whole lines where there are any."""
    head = text.encode()[: max(keep, 0)].decode(errors="ignore")
    whole, newline, _ = head.rpartition("\n")
    return whole if newline and len(whole) > len(head) // 2 else head
