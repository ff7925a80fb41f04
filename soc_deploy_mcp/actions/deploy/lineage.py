"""The releases of a target in the order they came, folded from the journal, and which one a rollback chooses.

"Previous" means verified stable, not "the newest before this one".
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from soc_deploy_mcp.core.event import LineageChanged, Record
from soc_deploy_mcp.core.ids import Instant, RunId, Slug
from soc_deploy_mcp.core.plan import Candidate, WayBack
from soc_deploy_mcp.core.release import Release

# Class of a migration that nobody can go back across without accepting it by name.
RISKY = frozenset({"contract", "irreversible"})
NEVER_STABLE = "was never stable"
FIRST = "first release, nothing to return to"


@dataclass(frozen=True, slots=True)
class Life:
    """One release on one target. Positions grow with the journal; None: never."""

    release: Release
    run: RunId  # the last run that brought it
    became_active: Instant | None = None
    became_stable: Instant | None = None
    stable_position: int | None = None  # order of the deploys that finished; a rollback to it does not move it
    left: Instant | None = None  # retired: its processes are gone
    quarantined: str = ""  # why

    @property
    def state(self) -> str:
        if self.quarantined:
            return "quarantined"
        if self.left is not None:
            return "retired"
        if self.became_stable is not None:
            return "stable"
        return "live" if self.became_active is not None else "registered"


@dataclass(frozen=True, slots=True)
class Lineage:
    lives: dict[Slug, Life] = field(default_factory=dict)  # in the order of registration
    active: Slug | None = None  # has users' requests, as far as the journal knows

    @property
    def current(self) -> Life | None:
        return self.lives.get(self.active) if self.active else None

    @property
    def stable(self) -> Life | None:
        """The release that finished last."""
        finished = [life for life in self.lives.values() if life.stable_position is not None]
        return max(finished, key=lambda life: life.stable_position or 0, default=None)


def fold(records: Iterable[tuple[Record, LineageChanged]]) -> Lineage:
    """The lineage after these rows, which are all `lineage` rows of one target in journal order."""
    lineage = Lineage()
    for position, (record, change) in enumerate(records):
        lineage = _after(lineage, record, change, position)
    return lineage


def _after(lineage: Lineage, record: Record, change: LineageChanged, position: int) -> Lineage:
    slug = change.release.slug
    known = lineage.lives.get(slug)
    life = known or Life(release=change.release, run=record.run)
    active = lineage.active
    match change.change:
        case "registered":  # deployed by name (again): an old quarantine ends with it
            life = replace(life, release=change.release, run=record.run, quarantined="", left=None)
        case "live":
            life = replace(life, left=None)
        case "active":
            life = replace(life, became_active=record.at, left=None)
            active = slug
        case "stable":
            life = replace(life, became_stable=record.at, stable_position=position)
        case "retired":
            life = replace(life, left=record.at)
            active = None if active == slug else active
        case "quarantined":
            life = replace(life, quarantined=change.why or "rolled back from")
            active = None if active == slug else active
    lives = dict(lineage.lives)
    if change.change == "registered":
        lives.pop(slug, None)  # moves to the end: this is the newest attempt
    lives[slug] = life
    return Lineage(lives, active)


Retrievable = Callable[[Release], str]  # "" or why the artifact cannot be had
AppliedAfter = Callable[[Life], str]  # "" or the risky migration that was applied after it became stable


def previous_stable(lineage: Lineage, active: Slug | None, retrievable: Retrievable, risk: AppliedAfter) -> WayBack:
    """The most recent release before the active one that may be gone back to, and why the others may not.

    Rules: 1 was stable; 2 is another build; 3 not quarantined; 4 retrievable; 5 schema-compatible; 6 came before the
    active release (no ping-pong after a rollback).
    """
    here = lineage.lives.get(active) if active else None
    before = here.stable_position if here and here.stable_position is not None else None
    ordered = sorted(lineage.lives.values(), key=lambda life: life.stable_position or -1, reverse=True)
    candidates: list[Candidate] = []
    for life in ordered:
        refused = _refused(life, here, before, retrievable, risk)
        candidates.append(Candidate(version=life.release.version, slug=life.release.slug, refused=refused))
        if not refused:
            why = f"{life.release.version}: the last stable release before the active one, artifact present"
            return WayBack(release=life.release, why=why, candidates=tuple(candidates))
    others = [c for c in candidates if c.slug != active]
    why = "no release before it may be gone back to" if any(c.refused != NEVER_STABLE for c in others) else FIRST
    return WayBack(release=None, why=why, candidates=tuple(candidates))


def _refused(life: Life, here: Life | None, before: int | None, retrievable: Retrievable, risk: AppliedAfter) -> str:
    if life.stable_position is None:
        return NEVER_STABLE
    if here is not None and life.release.identity == here.release.identity:
        return "is the active release"
    if life.quarantined:
        return f"quarantined ({life.quarantined})"
    if before is not None and life.stable_position > before:
        return "came after the active release"
    return retrievable(life.release) or risk(life)


def named(
    lineage: Lineage, version: str, retrievable: Retrievable, risk: AppliedAfter, *, accept_schema_risk: bool
) -> tuple[Life | None, str, tuple[str, ...]]:
    """A release asked for by its version: (life, refusal, warnings). A name overrides rules 1 and 3 with a warning,
    rule 5 only when the risk was accepted, rule 4 never."""
    found = [life for life in lineage.lives.values() if life.release.version == version and life.became_active]
    if not found:
        return None, "it never ran on this target", ()
    life = max(found, key=lambda each: (each.stable_position or -1, each.became_active or 0))
    if gone := retrievable(life.release):
        return life, gone, ()
    changed = risk(life)
    if changed and not accept_schema_risk:
        return life, changed, ()
    warnings = []
    if life.became_stable is None:
        warnings.append(f"{version} was never stable on this target")
    if life.quarantined:
        warnings.append(f"{version} is quarantined: {life.quarantined}")
    if changed:
        warnings.append(f"schema risk accepted: {changed}")
    return life, "", tuple(warnings)
