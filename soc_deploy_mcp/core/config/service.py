"""One service on one environment, as the local platform runs it. Everything that can change what runs is in here,
so that its digest is a part of a release's identity."""

import ipaddress
import re
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

PLACEHOLDERS = frozenset({"port", "version", "release", "shared"})
INSTANCE_PORTS = range(20000, 30000)  # outside the usual ephemeral range, where an outgoing connection could take one
_REFERENCE = re.compile(r"(env:[A-Za-z_]\w*|file:/\S+)")

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

PATH, SHA256, MIGRATION_ID, CHECK_NAME, LISTEN = (
    *(r"^/\S*$", r"^[0-9a-f]{64}$", r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$", r"^[a-z][a-z0-9_]{0,39}$"),
    r"^\d{1,3}(?:\.\d{1,3}){3}:\d{1,5}$",
)
PATTERNS: Final = {  # in words, for messages
    PATH: "a path that begins with / is wanted, such as /healthz",
    SHA256: "64 hex digits are wanted",
    MIGRATION_ID: "letters, digits, dots, - and _ are wanted, 80 at most",
    CHECK_NAME: "small letters, digits and _ are wanted, a letter first, 40 at most",
    LISTEN: "an address and a port are wanted, such as 127.0.0.1:8080",
}


def _startable(argv: tuple[str, ...]) -> tuple[str, ...]:
    if not argv[0].strip():
        raise ValueError("the first item is the program and is empty")
    if any("\0" in word for word in argv):
        raise ValueError("a NUL character cannot be part of a command")
    return argv


def _refers(reference: str) -> str:
    if not _REFERENCE.fullmatch(reference):
        raise ValueError("it holds no reference; write env:NAME or file:/path, never the value itself")
    return reference


# Numbers and switches are taken as they are written: `instances: true` is no 1, `auto_rollback: yes` is a word.
Count = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Switch = Annotated[bool, Strict()]
Argv = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_startable)]
Word = Annotated[str, StringConstraints(min_length=1)]
Reference = Annotated[str, AfterValidator(_refers)]  # env:NAME or file:/path


class Model(BaseModel):
    """Frozen, and an unknown key is an error: a typo in a release's settings must not pass in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GitArtifact(Model):
    git: Word = "."  # the repository, relative to the project
    ref: Word = "{version}"


class DirArtifact(Model):
    dir: Word


class TarballArtifact(Model):
    tarball: Word
    sha256: Annotated[str, StringConstraints(pattern=SHA256)] | None = None


def _artifact_kind(value: Any) -> str | None:
    """Which of the three, by the key that names it; `ref` alone is git's."""
    if isinstance(value, BaseModel):
        return type(value).__name__
    named = [kind for kind in ("git", "dir", "tarball") if isinstance(value, dict) and kind in value]
    if not named and isinstance(value, dict) and value.keys() <= {"ref"}:
        named = ["git"]
    return f"{named[0].capitalize()}Artifact" if len(named) == 1 else None


ArtifactSettings = Annotated[
    Annotated[GitArtifact, Tag("GitArtifact")]
    | Annotated[DirArtifact, Tag("DirArtifact")]
    | Annotated[TarballArtifact, Tag("TarballArtifact")],
    Discriminator(
        _artifact_kind,
        custom_error_type="artifact_kind",
        custom_error_message="it names exactly one of git, dir, tarball",
    ),
]


class Health(Model):
    """Readiness of one instance."""

    path: Annotated[str, StringConstraints(pattern=PATH)] = "/healthz"
    timeout_s: Annotated[Number, Field(gt=0, le=60)] = 1
    passes: Annotated[Count, Field(ge=1, le=20)] = 2  # good answers in a row
    start_timeout_s: Annotated[Number, Field(gt=0, le=3600)] = 30
    expect: Annotated[Count, Field(ge=100, le=599)] = 200


class Smoke(Model):
    """One request to a release before users reach it."""

    path: Annotated[str, StringConstraints(pattern=PATH)]
    status: Annotated[Count, Field(ge=100, le=599)] = 200
    contains: str | None = None


class Resources(Model):
    cpus: Annotated[Number, Field(gt=0)] | None = None  # base of the CPU check; None: the cores of the machine
    memory_mb: Annotated[Count, Field(gt=0)] | None = None  # base of the memory check; None: the machine's memory
    nofile: Annotated[Count, Field(ge=256)] = 4096


class RouterSettings(Model):
    kind: Literal["auto", "envoy"] = "auto"
    max_connections: Annotated[Count, Field(ge=16, le=100_000)] = 8000


class Migration(Model):
    """A declared change of the schema. The class is the project's word; none given counts as `contract`."""

    id: Annotated[str, StringConstraints(pattern=MIGRATION_ID)]
    class_: Annotated[Literal["expand", "data", "contract", "irreversible"], Field(alias="class")] = "contract"
    run: Argv
    when: Literal["before_start", "before_switch"] = "before_start"

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    @field_validator("id", mode="before")
    @classmethod
    def _digits_are_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value  # 20260101 is a number in YAML


class ServiceSpec(Model):
    """How one service runs on one environment of the local platform (docs/configuration.md)."""

    platform: Literal["local"] = "local"
    runtime: Literal["process"] = "process"
    artifact: ArtifactSettings = GitArtifact()
    prepare: tuple[Argv, ...] = ()  # once for each release, before it is sealed
    prepare_timeout_s: Annotated[Number, Field(gt=0)] = 600
    run: Argv
    reads_port_env: Switch = False  # the application takes PORT instead of {port}
    env: dict[str, str] = {}
    secrets: dict[str, Reference] = {}
    listen: Annotated[str, StringConstraints(pattern=LISTEN)] = "127.0.0.1:8080"
    public: Switch = False
    instances: Annotated[Count, Field(ge=1, le=50)] = 2
    health: Health = Health()
    smoke: tuple[Smoke, ...] = ()
    drain_s: Annotated[Number, Field(ge=0)] = 30
    grace_s: Annotated[Number, Field(ge=0)] = 15
    keepalive_s: Annotated[Number, Field(gt=0)] = 5.0  # the application's own
    hold_s: Annotated[Number, Field(ge=0, le=60)] = 10  # recreate: how long requests wait
    restart: Literal["on-failure", "never"] = "on-failure"
    max_restarts: Annotated[Count, Field(ge=0)] = 5
    resources: Resources = Resources()
    router: RouterSettings = RouterSettings()
    keep_releases: Annotated[Count, Field(ge=2)] = 5
    log_mb: Annotated[Count, Field(ge=1)] = 10
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

    @field_validator("listen")
    @classmethod
    def _can_be_listened_on(cls, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError(f"{host} is no IPv4 address") from None
        if not 0 < int(port) < 65536 or int(port) in INSTANCE_PORTS:
            raise ValueError("a port below 65536 and outside 20000-29999 (instances live there) is wanted")
        return listen

    @field_validator("env", "secrets")
    @classmethod
    def _names_are_variables(cls, values: dict[str, str]) -> dict[str, str]:
        for name, value in values.items():
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} cannot name a variable")
            if "\0" in value:
                raise ValueError(f"{name} holds a NUL character")
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> "ServiceSpec":
        if not self.reads_port_env and not any("{port}" in word for word in self.run):
            raise ValueError("run must use {port}, or say reads_port_env: true (the application takes PORT)")
        if both := self.env.keys() & self.secrets.keys():
            raise ValueError(f"{', '.join(sorted(both))}: in env and in secrets")
        if self.address[0] == "0.0.0.0" and not self.public:
            raise ValueError("listen on 0.0.0.0 reaches other machines: say public: true as well")
        if len({m.id for m in self.migrations}) < len(self.migrations):
            raise ValueError("migrations: two have the same id")
        return self
