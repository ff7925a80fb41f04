"""Semantic versions as deploys name them: canonical with a leading v, `v2.1.0`."""

import re
from functools import lru_cache

import semver

_TAG = re.compile(r"^(?:refs/tags/)?v?(\d+\.\d+\.\d+\S*)$", re.IGNORECASE)


def canonical(text: str) -> str | None:
    """`2.1.0`, `v2.1.0` and `refs/tags/v2.1.0` are all `v2.1.0`; anything that is no semantic version is None.

    Pre-release and build parts are kept as written (https://semver.org/spec/v2.0.0.html).
    """
    match = _TAG.match(text.strip())
    if not match or not semver.Version.is_valid(match[1]):
        return None
    return f"v{match[1]}"


@lru_cache(maxsize=512)
def order(version: str) -> semver.Version:
    """A key to sort canonical versions by; the build part does not order."""
    return semver.Version.parse(version.removeprefix("v")).replace(build=None)
