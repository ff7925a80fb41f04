"""Which release to go back to, and what is there to do it with. Reads only."""

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.actions.deploy import migrations as mig
from soc_deploy_mcp.actions.deploy.gather import artifact_evidence, gone, observation_evidence, serving
from soc_deploy_mcp.actions.deploy.readers import Gathered, History, Readers, Traffic
from soc_deploy_mcp.core.config import Settings
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.release import Release, Target
from soc_deploy_mcp.core.request import Request


async def gather(request: Request, settings: Settings, target: Target, readers: Readers) -> Gathered:
    """The world as it is for a rollback. Raises E_NO_PREVIOUS, E_NOT_IN_LINEAGE, E_SCHEMA_RISK, E_ARTIFACT."""
    history = await readers.history(target)
    seen = await readers.platform.observe(target)
    lost = await gone(history, target, readers) | await _gone_by_name(request, history, target, readers)
    active = serving(seen, history)
    back, warnings = choose(request, target, history, active, lost)
    ready = seen.ready(back.slug)
    same = active is not None and active.identity == back.identity
    evidence = [
        artifact_evidence(back, readers),
        *observation_evidence(seen, target, history, readers),
        *await readers.machine(target, back.spec, back.spec.instances),
    ]
    if metrics := await readers.metrics(target):
        evidence.append(metrics)
    return Gathered(
        settings=settings,
        target=target,
        new=back,
        old=None if same else active,
        no_change=same and seen.weight(back.slug) == 100 and ready >= back.spec.instances,
        history=history,
        traffic=Traffic(),
        hot=ready >= max(settings.deploy.min_instances, back.spec.instances),
        checksums=await readers.migrations(target, back),
        gone=lost,
        evidence=tuple(evidence),
        warnings=warnings,
    )


async def _gone_by_name(request: Request, history: History, target: Target, readers: Readers) -> dict[str, str]:
    """A name may mean a release that was never stable; that does not bring its files back."""
    named = [life.release for life in history.lineage.lives.values() if life.release.version == request.version]
    found = {release.slug: await readers.retrievable(target, release) for release in named}
    return {str(slug): why for slug, why in found.items() if why}


def choose(
    request: Request, target: Target, history: History, active: Release | None, lost: dict[str, str]
) -> tuple[Release, tuple[str, ...]]:
    """The release that was named, or the previous stable one; with the warnings that its choice needs. Pure."""

    def retrievable(release: Release) -> str:
        return lost.get(release.slug, "")

    def risk(life: lin.Life) -> str:
        return mig.risk_after(life, history.applied)

    if request.version is None:
        way = lin.previous_stable(history.lineage, active.slug if active else None, retrievable, risk)
        if way.release is None:
            raise _no_previous(target, way.why, [f"{c.version}: {c.refused}" for c in way.candidates])
        return way.release, ()
    life, refused, warnings = lin.named(
        history.lineage, request.version, retrievable, risk, accept_schema_risk=request.accept_schema_risk
    )
    if life is None:
        raise DeployError(
            "E_NOT_IN_LINEAGE",
            f"{request.version} never served on {target.name}, so there is nothing to go back to",
            "a rollback returns to a release that ran here",
            f"soc-deploy {target.environment} --action deploy --version {request.version} --service {target.service}",
        )
    if refused:
        risky = bool(risk(life)) and not retrievable(life.release)
        here = f"--service {target.service}"
        line = f"soc-deploy {target.environment} --action rollback --version {request.version} {here}"
        raise DeployError(
            "E_SCHEMA_RISK" if risky else "E_ARTIFACT",
            f"{request.version} cannot be rolled back to: {refused}",
            "the data may not fit the older release" if risky else "its files are needed to start it",
            f"{line} --accept-schema-risk" if risky else f"soc-deploy releases {target.name}",
        )
    return life.release, warnings


def _no_previous(target: Target, why: str, refused: list[str]) -> DeployError:
    return DeployError(
        "E_NO_PREVIOUS",
        f"there is no release to go back to on {target.name}: {why}",
        "; ".join(refused) or "no release finished here yet",
        f"soc-deploy releases {target.name}",
    )
