"""The incident report for people: ten sections, rendered from `Incident` and from nothing else."""

from typing import Any

from soc_deploy_mcp.actions.rollback.incident import NOT_RESTORED, Incident
from soc_deploy_mcp.core.report.text import cell, inline, one_line

_TEMPLATE = """\
# Incident: {{ i.version }} on {{ i.service }}/{{ i.environment }}

## 1 Summary
{{ i.version }} {{ "was" if i.ended else "could not be" }} taken back from {{ i.environment }}\
{{ "" if i.ended else ", as far as is known" }}. Trigger: {{ i.trigger | line }}. Status: {{ i.status }}.

## 2 Impact
- From {{ "before this run" if i.before else i.began or "never" }} to {{ i.ended or "unknown" }} \
requests could reach it.
{% if i.impact -%}
- {{ i.impact.errors_new }} of {{ i.impact.requests_new }} requests to {{ i.counted }} failed, \
{{ "%.1f" | format(i.impact.excess_errors) }} above the baseline.
- Lost by the platform: {{ "unknown" if i.impact.lost is none else i.impact.lost }}.
- Error budget of 30 days: \
{{ "unknown" if i.impact.budget_share is none else "%.1f %%" | format(100 * i.impact.budget_share) }}.
{% else -%}
- Not counted.
{% endif %}
## 3 Timeline

| UTC | Event | By |
|:----|:------|:---|
{% for at, what, by in i.timeline -%}
| {{ at }} | {{ what | cell }} | {{ by | cell }} |
{% endfor %}
## 4 Detection
{% if i.detection -%}
{{ i.detection.word }} {{ i.detection.metric }} at {{ i.detection.at }}, weight {{ i.detection.weight }} %.
{% for r in i.detection.readings -%}
- {{ r | reading }}
{% endfor %}
{%- else -%}
Not by the judge.
{% endif %}
## 5 Decision
{% if i.decision -%}
By {{ i.decision.by }} at {{ i.decision.at }}; --auto-rollback {{ "on" if i.decision.auto_rollback else "off" }}.
{%- else -%}
None recorded.
{%- endif %}

## 6 Recovery
{% if i.recovery -%}
{{ i.recovery.to }} had all requests {{ "%.3f" | format(i.recovery.seconds) }} s after the decision.
{%- else -%}
Not confirmed.
{%- endif %}

## 7 Not restored
{% for each in not_restored -%}
- {{ each }}
{% endfor %}
## 8 Cause
unknown: no evidence names it.
{% for text in i.logs %}
> {{ text | untrusted }} (untrusted)
{% endfor %}
## 9 Follow-ups
{% for version in i.quarantined -%}
- [ ] {{ version }} is quarantined until it is deployed again by name
{% endfor -%}
{% if not i.ended -%}
- [ ] See where the requests go, and where a rollback could: `soc-deploy releases {{ i.service }}/{{ i.environment }}`
{% endif -%}
- [ ] Find the cause and fix it forward
- [ ] Review within 24 hours

## 10 Evidence
{% for each in i.evidence -%}
- {{ each }}
{% endfor -%}
- {{ i.evidence | length }} pieces of evidence; the rows: `soc-deploy journal {{ i.run }}`
"""


def markdown(incident: Incident) -> str:
    """The text, ending in a newline. Jinja2 is imported here: only this and the runbook need it."""
    from jinja2 import Undefined
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=Undefined, autoescape=False, keep_trailing_newline=True)
    environment.filters |= {
        "line": lambda text: one_line(str(text), 300),
        "cell": lambda text: cell(str(text), 120),
        "untrusted": lambda text: inline(str(text), 300),
        "reading": reading,
    }
    return environment.from_string(_TEMPLATE).render(i=incident, not_restored=NOT_RESTORED)


def reading(figures: dict[str, Any]) -> str:
    """One metric of the judge in a line: counts of both releases and the evidence against its threshold."""
    canary, baseline = figures.get("canary"), figures.get("baseline")
    counts = f"{figures['metric']}: new {f'{canary[1]}/{canary[0]}' if canary else 'unknown'}"
    if baseline:
        counts += f", old {baseline[1]}/{baseline[0]}"
    worse, needed = figures.get("ln_worse"), figures.get("ln_worse_needed")
    return counts + (f", ln e(worse) {worse:.1f} of {needed:.1f}" if worse is not None and needed is not None else "")
