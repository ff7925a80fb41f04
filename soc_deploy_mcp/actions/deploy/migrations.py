"""Which declared migrations are due, and which stand between two releases."""

from dataclasses import dataclass

from soc_deploy_mcp.actions.deploy.lineage import RISKY, Life
from soc_deploy_mcp.core.config.service import Migration
from soc_deploy_mcp.core.event import Payload, Record
from soc_deploy_mcp.core.ids import Instant


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration that ran on this target: with which content, when."""

    id: str
    class_: str
    checksum: str
    at: Instant


def due(declared: tuple[Migration, ...], applied: dict[str, Applied]) -> tuple[Migration, ...]:
    """What a rollout runs, in declared order: expand before the switch, data after it, each once."""
    return tuple(m for m in declared if m.class_ not in RISKY and m.id not in applied)


def left_alone(declared: tuple[Migration, ...], applied: dict[str, Applied]) -> tuple[Migration, ...]:
    """Contract and irreversible ones: never inside a rollout, since nobody could go back across them."""
    return tuple(m for m in declared if m.class_ in RISKY and m.id not in applied)


def changed(declared: tuple[Migration, ...], applied: dict[str, Applied], checksums: dict[str, str]) -> tuple[str, ...]:
    """Ids of migrations that ran with other content than they have now."""
    return tuple(
        m.id for m in declared if m.id in applied and checksums.get(m.id) not in (None, applied[m.id].checksum)
    )


def risk_after(life: Life, applied: dict[str, Applied]) -> str:
    """The first contract or irreversible migration applied after a release became stable; "" when there is none."""
    since = life.became_stable or life.became_active or 0.0
    risky = [a for a in applied.values() if a.class_ in RISKY and a.at > since]
    if not risky:
        return ""
    first = min(risky, key=lambda a: a.at)
    return f"migration {first.id} ({first.class_}) was applied after it"


class MigrationRan(Payload):
    """Kind `migration`: one ran on this target."""

    KIND = "migration"
    id: str
    class_: str
    checksum: str
    seconds: float
    exit_code: int


def fold(records: list[Record]) -> dict[str, Applied]:
    """What is applied, from the `migration` rows of a target."""
    applied: dict[str, Applied] = {}
    for record in records:
        ran = MigrationRan.from_json(record.payload)
        if ran.exit_code == 0:
            applied[ran.id] = Applied(ran.id, ran.class_, ran.checksum, record.at)
    return applied
