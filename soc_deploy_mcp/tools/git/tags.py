"""Tags that are versions, in the order of versions, and the ones nearest to a version that is no tag."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from soc_deploy_mcp.core import version


@dataclass(frozen=True, slots=True)
class Tag:
    name: str  # as in the repository: 2.1.0
    version: str  # canonical: v2.1.0


def versions(names: Iterable[str]) -> tuple[Tag, ...]:
    """The tags that are semantic versions, newest first (https://semver.org/spec/v2.0.0.html, 11)."""
    tags = [Tag(name, canonical) for name in names if (canonical := version.canonical(name))]
    return tuple(sorted(tags, key=lambda tag: (version.order(tag.version), tag.name), reverse=True))


def spellings(ref: str) -> tuple[str, ...]:
    """Ways to write the same tag: a version with and without its v, as typed first."""
    canonical = version.canonical(ref)
    if canonical is None:
        return (ref,)
    return tuple(dict.fromkeys((ref.removeprefix("refs/tags/"), canonical, canonical.removeprefix("v"))))


def nearest(ref: str, names: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """For a version the tags closest in major, then minor, then patch, newest first; else names spelled alike."""
    names = tuple(names)
    wanted = version.canonical(ref)
    if wanted is None or not (tags := versions(names)):
        return tuple(difflib.get_close_matches(ref, names, n, 0.4))
    have = version.order(wanted)

    def far(tag: Tag) -> tuple[int, int, int]:
        other = version.order(tag.version)
        apart = (abs(other.major - have.major), abs(other.minor - have.minor), abs(other.patch - have.patch))
        return (apart[0], 0, 0) if apart[0] else (0, apart[1], 0) if apart[1] else apart

    return tuple(tag.name for tag in sorted(tags, key=far)[:n])
