"""A release: what was built, with which configuration. Immutable; the same identity is the same release."""

import re
from typing import Literal

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.config.service import ServiceSpec
from soc_deploy_mcp.core.ids import Slug, TargetId
from soc_deploy_mcp.core.model import Noun


class Target(Noun):
    """Service x environment of one project. `id` names its directory, its row and its lock."""

    project: str  # absolute path of the project root
    service: str
    environment: str

    @property
    def id(self) -> TargetId:
        return TargetId(digest([self.project, self.service, self.environment])[:12])

    @property
    def name(self) -> str:
        return f"{self.service}/{self.environment}"


class Artifact(Noun):
    """Where the files come from. `digest` is sha256 over sorted path, mode and content of the source, before
    `prepare`: build output need not be reproducible."""

    kind: Literal["git", "dir", "tarball"]
    source: str  # repository, directory or file: an absolute path
    commit: str | None = None  # git: the commit, never the tag
    digest: str  # 64 hex digits
    provenance: str  # one line for people: "git commit 1b9d2e7 (tag v2.1.0)"


class Release(Noun):
    """One version made from one artifact with one configuration."""

    version: str  # canonical: v2.1.0
    artifact: Artifact
    spec: ServiceSpec  # as it was when the release was planned; secrets are references

    @property
    def config_digest(self) -> str:
        return digest(self.spec.model_dump(mode="json"))

    @property
    def identity(self) -> str:
        """sha256 of artifact and configuration: two releases with the same identity are one."""
        return digest([self.artifact.digest, self.config_digest])

    @property
    def slug(self) -> Slug:
        """File, directory and cluster name. No dots: they would break the router's metric names."""
        return Slug(f"{re.sub(r'[^A-Za-z0-9]', '_', self.version)}-{self.identity[:8]}")

    @property
    def label(self) -> str:
        """What people see where two builds of one version must be told apart: v2.1.0-bbbb2222."""
        return f"{self.version}-{self.identity[:8]}"
