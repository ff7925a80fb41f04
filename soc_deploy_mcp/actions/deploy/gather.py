"""What a deploy must know before it can be planned. Reads only; everything read becomes evidence."""

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.actions.deploy.readers import Gathered, History, Readers, Traffic
from soc_deploy_mcp.core.config import Settings
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.evidence import Evidence, observed
from soc_deploy_mcp.core.platform import Observation
from soc_deploy_mcp.core.release import Release, Target
from soc_deploy_mcp.core.request import Request


async def gather(request: Request, settings: Settings, target: Target, readers: Readers) -> Gathered:
    """The world as it is for a deploy of `request.version`. Raises DeployError for what no plan can be made of."""
    if request.version is None:
        raise DeployError("E_VERSION_MISSING", "a deploy needs a version")
    artifact, read = await readers.artifact(target, settings.spec, request.version)
    new = Release(version=request.version, artifact=artifact, spec=settings.spec)
    history = await readers.history(target)
    seen = await readers.platform.observe(target)
    old = serving(seen, history)
    same = old is not None and old.identity == new.identity
    full = max(new.spec.instances, old.spec.instances if old else 0)
    evidence = [
        *read,
        artifact_evidence(new, readers),
        *observation_evidence(seen, target, history, readers),
        *await readers.machine(target, settings.spec, full),
    ]
    if metrics := await readers.metrics(target):
        evidence.append(metrics)
    traffic = await readers.traffic(target, old, settings) if old else Traffic()
    if traffic.evidence:
        evidence.append(traffic.evidence)
    return Gathered(
        settings=settings,
        target=target,
        new=new,
        old=None if same else old,
        no_change=same and seen.weight(new.slug) == 100 and seen.ready(new.slug) >= new.spec.instances,
        history=history,
        traffic=traffic,
        hot=False,
        old_down=old is not None and not same and seen.weights is not None and seen.ready(old.slug) == 0,
        checksums=await readers.migrations(target, new),
        gone=await gone(history, target, readers),
        evidence=tuple(evidence),
    )


def serving(seen: Observation, history: History) -> Release | None:
    """The release that has users' requests: what is observed, else what the journal knows."""
    lives = history.lineage.lives
    if seen.weights:
        slug = max(seen.weights, key=lambda each: seen.weights[each] if seen.weights else 0)
        if slug in lives:
            return lives[slug].release
    current = history.lineage.current
    return current.release if current else None


async def gone(history: History, target: Target, readers: Readers) -> dict[str, str]:
    """Releases of the lineage whose files cannot be had any more, and why."""
    found = {life.release.slug: await readers.retrievable(target, life.release) for life in _lives(history)}
    return {str(slug): why for slug, why in found.items() if why}


def _lives(history: History) -> tuple[lin.Life, ...]:
    return tuple(life for life in history.lineage.lives.values() if life.stable_position is not None)


def artifact_evidence(release: Release, readers: Readers) -> Evidence:
    artifact = release.artifact
    return observed(
        "artifact",
        release.version,
        tool=artifact.kind,
        query=artifact.provenance,
        figure=f"{artifact.provenance}, sha256 {artifact.digest[:12]}",
        at=readers.now(),
        data={"digest": artifact.digest, "commit": artifact.commit},
    )


def observation_evidence(seen: Observation, target: Target, history: History, readers: Readers) -> list[Evidence]:
    """What runs, and whether it is what the journal last wrote."""
    weights = None if seen.weights is None else {str(s): w for s, w in seen.weights.items()}
    ready = {str(slug): release.ready for slug, release in seen.releases.items()}
    current = history.lineage.current
    expected = {str(current.release.slug): 100} if current else {}
    figure = ", ".join(f"{r.version} {r.ready} ready" for r in seen.releases.values()) or "nothing runs"
    drift = weights is not None and bool(weights or expected) and weights != expected
    at = seen.at
    return [
        observed(
            "observation",
            target.name,
            tool="platform",
            query="observe",
            figure=figure,
            at=at,
            data={"weights": weights, "ready": ready, "mode": seen.mode, "router": seen.router},
        ),
        observed(
            "drift",
            target.name,
            tool="platform",
            query="observed weights against the journal",
            figure="as the journal knows it" if not drift else f"router {weights}, journal {expected}",
            at=at,
            data={"drift": drift, "first": not history.lineage.lives},
        ),
        observed(
            "lineage",
            target.name,
            tool="journal",
            query="lineage of the target",
            figure=f"{len(history.lineage.lives)} release(s) known",
            at=readers.now(),
            data={"unfinished": history.unfinished, "releases": len(history.lineage.lives)},
        ),
    ]
