"""devops-agent: leads every action. Reads the world, plans, shows what it read. Holds Readers only."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from soc_deploy_mcp.actions.deploy import migrations as mig
from soc_deploy_mcp.actions.deploy.figures import health_rows
from soc_deploy_mcp.actions.deploy.gather import gather as gather_deploy
from soc_deploy_mcp.actions.deploy.gather import serving
from soc_deploy_mcp.actions.deploy.judge import Count, Measured, stage_power
from soc_deploy_mcp.actions.deploy.plan import plan as plan_deploy
from soc_deploy_mcp.actions.deploy.readers import Gathered, Readers
from soc_deploy_mcp.actions.deploy.stages import rules, stage
from soc_deploy_mcp.actions.rollback.gather import gather as gather_rollback
from soc_deploy_mcp.actions.rollback.plan import plan as plan_rollback
from soc_deploy_mcp.core.config import Settings
from soc_deploy_mcp.core.config.settings import CustomCheck
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import HealthSeen
from soc_deploy_mcp.core.evidence import Evidence, observed
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.metrics import BadQuery
from soc_deploy_mcp.core.plan import Plan, StepPower
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.core.request import Request
from soc_deploy_mcp.personas.walk import baseline_digest
from soc_deploy_mcp.tools.metrics import check_queries

HEALTH_WINDOW_S = 30.0


@dataclass
class Devops:
    """`walk.Lead` for deploy and rollback."""

    readers: Readers
    settings: Settings
    target: Target
    config_digest: str
    holder: Callable[[], Awaitable[DeployError | None]]
    run_tests: Callable[[Plan], Awaitable[Sequence[Evidence]]]

    def now(self) -> Instant:
        return self.readers.now()

    async def free(self) -> None:
        if locked := await self.holder():
            raise locked

    async def tests(self, plan: Plan) -> Sequence[Evidence]:
        return await self.run_tests(plan)

    async def plan(self, request: Request) -> tuple[Plan, Sequence[Evidence]]:
        for check in self.settings.judge.checks:
            _usable(check)
        if request.action == "rollback":
            seen = await gather_rollback(request, self.settings, self.target, self.readers)
            made = plan_rollback(request, seen)
        else:
            seen = await gather_deploy(request, self.settings, self.target, self.readers)
            made = plan_deploy(request, seen)
            power = foresee(made, seen)
            made = made.model_copy(update={"advice": made.advice.model_copy(update={"power": power})})
        return made, (*seen.evidence, *self._about(request, made, seen))

    async def health(self, plan: Plan) -> HealthSeen | None:
        if plan.old is None:
            return None
        seen = await self.readers.platform.observe(plan.target)
        figures = await self.readers.figures(plan, plan.old)
        return HealthSeen(
            release=plan.old.version,
            window_s=HEALTH_WINDOW_S,
            rows=health_rows(plan, figures, seen, plan.old.slug),
        )

    async def baseline(self, plan: Plan) -> str:
        seen = await self.readers.platform.observe(plan.target)
        history = await self.readers.history(plan.target)
        active, stable = serving(seen, history), history.lineage.stable
        weights = None if seen.weights is None else {str(slug): weight for slug, weight in seen.weights.items()}
        return baseline_digest(active.slug if active else None, weights, stable.release.slug if stable else None)

    def _about(self, request: Request, plan: Plan, seen: Gathered) -> Sequence[Evidence]:
        """What was asked and what was planned, as evidence for the checks that read it."""
        target = plan.target.name
        return (
            self._seen("request", request.action, "command line", _asked(request)),
            self._seen("config", self.settings.service, "soc-deploy.yaml", f"sha256 {self.config_digest[:12]}"),
            self._seen("plan", plan.hash, "planner", f"{len(plan.steps)} steps, plan {plan.hash[:12]}"),
            self._seen("rollback_target", target, "lineage", _back(plan)),
            self._seen("migrations", plan.new.version, "declared classes, checksums", _migrations(seen)),
            self._seen("slo_budget", target, "history", "no history of 30 days yet: the full budget is assumed"),
            self._power(plan),
        )

    def _power(self, plan: Plan) -> Evidence:
        seen = [p for p in plan.advice.power if p.ratio is not None]
        bad = plan.settings.judge.r_bad
        if not seen:
            figure = "users' requests alone show no regression within a step; probes stand in where they are on"
            return self._seen("plan_power", plan.target.name, "normal approximation", figure, {"sees": False})
        best = {p.metric: p.ratio for p in seen if p.key == seen[0].key}
        figure = "first step: " + ", ".join(f"{metric} ×{ratio:.1f}" for metric, ratio in best.items())
        sees = any(ratio is not None and ratio <= bad for ratio in best.values())
        return self._seen("plan_power", plan.target.name, "normal approximation", figure, {"sees": sees})

    def _seen(
        self, kind: str, subject: str, query: str, figure: str, data: dict[str, object] | None = None
    ) -> Evidence:
        return observed(kind, subject, tool="devops-agent", query=query, figure=figure, at=self.now(), data=data)


def _usable(check: CustomCheck) -> None:
    """Refuse before the plan what the judge could not read later."""
    try:
        check_queries(check)
    except BadQuery as bad:
        raise DeployError(
            "E_QUERY",
            f"judge.checks: {check.name} has a query that cannot be used: {bad}",
            "counts of bad and total events are plain counters, summed; a gauge is one level",
            "edit soc-deploy.yaml, judge.checks",
        ) from None


def foresee(plan: Plan, seen: Gathered) -> tuple[StepPower, ...]:
    """What the judge could see in each step at the traffic that was counted."""
    before = {}
    if seen.traffic.error_rate is not None:
        before["errors"] = Count(1_000_000, round(1_000_000 * seen.traffic.error_rate))
    measured = Measured(rps=seen.traffic.rps, before=before)
    found: list[StepPower] = []
    for step in plan.steps:
        one = next((s for op in step.ops if (s := stage(plan, op)) is not None), None)
        if one is None:
            continue
        specs = rules(plan, measured, one, synthetic=False)
        found += [
            StepPower(
                key=step.key,
                metric=metric,
                ratio=power.ratio,
                accept_s=power.accept_s,
                accept_chance=power.accept_chance,
            )
            for metric, power in stage_power(specs, plan.settings.judge, measured, one).items()
        ]
    return tuple(found)


def _asked(request: Request) -> str:
    words = (request.action, request.environment, request.service, request.version, request.strategy)
    return " ".join(word for word in words if word)


def _back(plan: Plan) -> str:
    if plan.way_back.release is None:
        return plan.way_back.why
    return f"to {plan.way_back.why}"


def _migrations(seen: Gathered) -> str:
    declared = seen.new.spec.migrations
    if not declared:
        return "none in this release"
    due = mig.due(declared, seen.history.applied)
    left = mig.left_alone(declared, seen.history.applied)
    return f"{len(declared)} declared, {len(due)} to run, {len(left)} not for a rollout"
