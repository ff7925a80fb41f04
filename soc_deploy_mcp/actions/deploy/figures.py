"""Rows of the Health Checks table: the four fixed ones from figures, then what the judge compared."""

from soc_deploy_mcp.actions.deploy.judge import Reading, Specs, Verdict
from soc_deploy_mcp.actions.deploy.sight import Figures
from soc_deploy_mcp.core.event import HealthRow
from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.platform import Observation

NAMES = {
    "errors": "Error rate vs baseline",
    "latency": "Latency vs baseline",
    "synthetic_errors": "Error rate of our probes vs baseline",
    "synthetic_latency": "Latency of our probes vs baseline",
}


def health_rows(plan: Plan, figures: Figures, seen: Observation | None, slug: Slug) -> tuple[HealthRow, ...]:
    """Response Time, Error Rate, CPU Usage, Memory Usage of one release; then its instances."""
    checks = plan.settings.health_checks
    p95, response, errors = figures.p95_ms, checks.response_time, checks.error_rate
    who = " (our probes)" if figures.probes else ""  # nobody else came: these are not what users met
    return (
        _row("Response Time", response.target, p95, response.bound_s * 1000, f"{{:.0f}}ms{who}"),
        _row("Error Rate", errors.target, figures.error_rate, errors.bound, f"{{:.2%}}{who}"),
        _row("CPU Usage", checks.cpu.target, figures.cpu, checks.cpu.bound, "{:.0%}"),
        _row("Memory Usage", checks.memory.target, figures.memory, checks.memory.bound, "{:.0%}"),
        *_instances(plan, seen, slug),
    )


def _row(name: str, target: str, actual: float | None, bound: float, form: str) -> HealthRow:
    if actual is None:
        return HealthRow(check=name, target=target, actual="—", status="no_data")
    return HealthRow(check=name, target=target, actual=form.format(actual), status="ok" if actual < bound else "failed")


def _instances(plan: Plan, seen: Observation | None, slug: Slug) -> tuple[HealthRow, ...]:
    wanted = next((r.spec.instances for r in (plan.new, plan.old) if r is not None and r.slug == slug), 0)
    if seen is None:
        return (HealthRow(check="Instances ready", target=str(wanted), actual="—", status="no_data"),)
    ready, restarts = seen.ready(slug), seen.restarts(slug)
    return (
        HealthRow(
            check="Instances ready", target=str(wanted), actual=str(ready), status="ok" if ready >= wanted else "failed"
        ),
        HealthRow(check="Restarts", target="0", actual=str(restarts), status="ok" if restarts == 0 else "failed"),
    )


def judge_rows(plan: Plan, said: Verdict | None, specs: Specs) -> list[dict[str, object]]:
    """What the last comparison of both releases showed, as plain HealthRow JSON."""
    if said is None:
        return []
    made = (_compared(plan, reading, said, specs) for reading in said.readings if reading.baseline_run is not None)
    return [row.to_json() for row in made if row is not None]


def _compared(plan: Plan, reading: Reading, said: Verdict, specs: Specs) -> HealthRow | None:
    if reading.metric == "latency_slo":
        return None
    name = NAMES.get(reading.metric, f"{reading.metric} vs baseline")
    blamed = said.failure and said.metric == reading.metric
    state = "" if blamed else "accepted" if reading.accepted else "not accepted"
    new, old = reading.canary_run, reading.baseline_run
    assert old is not None
    counts = f"{new.x:,}/{new.n:,} vs {old.x:,}/{old.n:,}"
    bound = f" >{reading.bound_ms:.0f} ms" if reading.bound_ms is not None else ""
    return HealthRow(
        check=f"{name}{bound} ({plan.new.version})",
        target=f"<{specs_r_bad(specs):.1f}× the baseline",
        actual=f"{ratio(new.x, new.n, old.x, old.n)} ({counts})" + (f", {state}" if state else ""),
        status="failed" if blamed else "ok" if reading.accepted else "partial",
    )


def specs_r_bad(specs: Specs) -> float:
    return specs.metrics[0].r_bad


def ratio(x_new: int, n_new: int, x_old: int, n_old: int) -> str:
    """The rate of the new release over the old one's: `0.90×`, `∞×`, `—` without bad events."""
    if not n_new or not n_old or not (x_new or x_old):
        return "—"
    if not x_old:
        return "∞×"
    return f"{(x_new / n_new) / (x_old / n_old):.2f}×"
