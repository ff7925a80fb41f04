"""Journal rows as the lines somebody who follows a run reads. Rows that say nothing to people give none."""

from soc_deploy_mcp.core import event as ev
from soc_deploy_mcp.core.event import Record, State
from soc_deploy_mcp.core.report.text import cause, metric, one_line

_SIGNS = {"ok": "✅", "failed": "❌", "not_run": "⏭"}
_WORDS = {"CONTINUE": "no decision yet", "ACCEPT": "accepted"}


def said(record: Record) -> str:
    """One line, or "" for a row that is not for people."""
    shape = ev.payload(record)
    return one_line(_said(shape), 300) if shape is not None else ""


def _said(shape: ev.Payload) -> str:
    match shape:
        case ev.RunOpened(line=line):
            return line
        case ev.PlanMade(plan=plan, hash=hash_):
            return f"planned: {len(plan.steps)} steps, plan {hash_[:12]}; way back: {plan.way_back.why}"
        case ev.CheckMade(check=check) if check.state.value in ("failed", "not_run", "waived") and check.required:
            return f"{check.title}: {check.state.value}, {check.reason}"
        case ev.ApprovalAsked(command=command):
            return f"NOT DEPLOYED: waits for approval: {command}"
        case ev.ApprovalGiven(grade=grade, by=by, channel=channel) if grade != "none":
            return f"approved: {grade}, {channel}, by {by}"
        case ev.Moved(state=State.PAUSED, reason=reason, why=why):
            return f"⏸ PAUSED ({reason}): {why}"
        case ev.StepStarted(row=row):
            return f"⏳ {row}"
        case ev.StepEnded(row=row, status=status, note=note):
            return f"{_SIGNS[status]} {row}" + (f": {note}" if note and status == "failed" else "")
        case ev.VerdictGiven(word=word, metric=name, reason=reason, weight=weight):
            detail = " ".join(filter(None, (metric(name), reason.replace("_", " "))))
            return f"judge at {weight} %: {_WORDS.get(word, word)}" + (f" ({detail})" if detail else "")
        case ev.GoingBack(code=code, why=why, by=by):
            word = cause(code.partition(" ")[0], by)
            return f"⚠️ going back: {word}, {why}" + ("" if by in word else f" ({by})")
        case ev.TrafficBack(to=to, seconds=seconds):
            return f"all requests to {to} again after {seconds:.1f} s"
        case ev.Notice(text=text):
            return text
        case ev.ErrorSeen(code=code, what=what, try_=try_):
            return f"{code}: {what}" + (f" Try: {try_.splitlines()[0]}" if try_ else "")
        case ev.Finished(state=state, first_line=line):
            return f"{state.value}: {line}" if line else state.value
        case _:
            return ""
