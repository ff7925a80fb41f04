"""One service on one environment, as the local platform runs it. Everything that can change what runs is in here,
so that its digest is a part of a release's identity."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

PLACEHOLDERS = frozenset({"port", "version", "release", "shared"})
INSTANCE_PORTS = range(20000, 30000)  # outside the usual ephemeral range, where an outgoing connection could take one
_REFERENCE = re.compile(r"(env:[A-Za-z_]\w*|file:/\S+)")

Argv = Annotated[tuple[str, ...], Field(min_length=1)]
Word = Annotated[str, StringConstraints(min_length=1)]


class Model(BaseModel):
    """Frozen, and an unknown key is an error: a typo in a release's settings must not pass in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GitArtifact(Model):
    git: Word = "."  # the repository, relative to the project
    ref: Word = "{version}"


class DirArtifact(Model):
    dir: Word


class TarballArtifact(Model):
    tarball: Word
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class Health(Model):
    """Readiness of one instance."""

    path: Annotated[str, StringConstraints(pattern=r"^/\S*$")] = "/healthz"
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 1
    passes: Annotated[int, Field(ge=1, le=20)] = 2  # good answers in a row
    start_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30
    expect: Annotated[int, Field(ge=100, le=599)] = 200


class Smoke(Model):
    """One request to a release before users reach it."""

    path: Annotated[str, StringConstraints(pattern=r"^/\S*$")]
    status: Annotated[int, Field(ge=100, le=599)] = 200
    contains: str | None = None


class Resources(Model):
    cpus: Annotated[float, Field(gt=0)] | None = None  # base of the CPU check; None: the cores of the machine
    memory_mb: Annotated[int, Field(gt=0)] | None = None  # base of the memory check; None: the machine's memory
    nofile: Annotated[int, Field(ge=256)] = 4096


class RouterSettings(Model):
    kind: Literal["auto", "envoy"] = "auto"
    max_connections: Annotated[int, Field(ge=16, le=100_000)] = 8000


class Migration(Model):
    """A declared change of the schema. The class is the project's word; none given counts as `contract`."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    class_: Annotated[Literal["expand", "data", "contract", "irreversible"], Field(alias="class")] = "contract"
    run: Argv
    when: Literal["before_start", "before_switch"] = "before_start"

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    @field_validator("id", mode="before")
    @classmethod
    def _digits_are_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value  # 2026_01 reads as a number in YAML


class ServiceSpec(Model):
    """How one service runs on one environment of the local platform (docs/configuration.md)."""

    platform: Literal["local"] = "local"
    runtime: Literal["process"] = "process"
    artifact: GitArtifact | DirArtifact | TarballArtifact = GitArtifact()
    prepare: tuple[Argv, ...] = ()  # once for each release, before it is sealed
    prepare_timeout_s: Annotated[float, Field(gt=0)] = 600
    run: Argv
    reads_port_env: bool = False  # the application takes PORT instead of {port}
    env: dict[str, str] = {}
    secrets: dict[str, str] = {}  # references only: env:NAME or file:/path
    listen: Annotated[str, StringConstraints(pattern=r"^[0-9.]+:\d{1,5}$")] = "127.0.0.1:8080"
    public: bool = False
    instances: Annotated[int, Field(ge=1, le=50)] = 2
    health: Health = Health()
    smoke: tuple[Smoke, ...] = ()
    drain_s: Annotated[float, Field(ge=0)] = 30
    grace_s: Annotated[float, Field(ge=0)] = 15
    keepalive_s: Annotated[float, Field(gt=0)] = 5.0  # the application's own
    hold_s: Annotated[float, Field(ge=0, le=60)] = 10  # recreate: how long requests wait
    restart: Literal["on-failure", "never"] = "on-failure"
    max_restarts: Annotated[int, Field(ge=0)] = 5
    resources: Resources = Resources()
    router: RouterSettings = RouterSettings()
    keep_releases: Annotated[int, Field(ge=2)] = 5
    log_mb: Annotated[int, Field(ge=1)] = 10
    migrations: tuple[Migration, ...] = ()

    @property
    def smoke_list(self) -> tuple[Smoke, ...]:
        """The smoke requests; without any, the health path with its expected status."""
        return self.smoke or (Smoke(path=self.health.path, status=self.health.expect),)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host, int(port)

    @field_validator("run")
    @classmethod
    def _placeholders_are_known(cls, run: tuple[str, ...]) -> tuple[str, ...]:
        for word in run:
            for name in re.findall(r"\{(\w*)\}", word):
                if name not in PLACEHOLDERS:
                    known = " ".join(f"{{{p}}}" for p in sorted(PLACEHOLDERS))
                    raise ValueError(f"{{{name}}} is no placeholder; known are {known}")
        return run

    @field_validator("env", mode="before")
    @classmethod
    def _values_are_text(cls, value: object) -> object:
        if isinstance(value, dict):
            return {
                k: str(v) if isinstance(v, (int, float)) and not isinstance(v, bool) else v for k, v in value.items()
            }
        return value

    @field_validator("secrets")
    @classmethod
    def _only_references(cls, secrets: dict[str, str]) -> dict[str, str]:
        for name, reference in secrets.items():
            if not _REFERENCE.fullmatch(reference):
                raise ValueError(f"{name} holds no reference; write env:NAME or file:/path, never the value itself")
        return secrets

    @model_validator(mode="after")
    def _fits_together(self) -> "ServiceSpec":
        if not self.reads_port_env and not any("{port}" in word for word in self.run):
            raise ValueError("run must use {port}, or say reads_port_env: true (the application takes PORT)")
        if both := self.env.keys() & self.secrets.keys():
            raise ValueError(f"{', '.join(sorted(both))}: in env and in secrets")
        host, port = self.address
        if not 0 < port < 65536 or port in INSTANCE_PORTS:
            raise ValueError("listen needs a port outside 20000-29999 (instances live there) and below 65536")
        if host == "0.0.0.0" and not self.public:
            raise ValueError("listen on 0.0.0.0 reaches other machines: say public: true as well")
        if len({m.id for m in self.migrations}) < len(self.migrations):
            raise ValueError("migrations: two have the same id")
        return self
