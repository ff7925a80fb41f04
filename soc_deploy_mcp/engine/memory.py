"""What a run did already, by the names of its steps: folded from its journal, and what makes a replay a replay."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Entry, Record
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.engine.context import Json, Taken

LEASE, INTENT, OBSERVED = "lease", "intent", "observed"


class Memory:
    def __init__(self, records: Iterable[Record]) -> None:
        self._intents: dict[str, Record] = {}  # the first one of a step
        self._attempts: Counter[str] = Counter()
        self._observed: dict[str, Record] = {}
        self._emitted: dict[tuple[str, str, str], Record] = {}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        if record.kind == INTENT:
            self._intents.setdefault(record.key, record)
            self._attempts[record.key] += 1
        elif record.kind == OBSERVED:
            self._observed.setdefault(record.key, record)
        else:
            self._emitted.setdefault(_name(record), record)

    def attempts(self, key: StepKey) -> int:
        return self._attempts[key]

    def intent(self, key: StepKey) -> Record | None:
        return self._intents.get(key)

    def observed(self, key: StepKey) -> Record | None:
        return self._observed.get(key)

    def emitted(self, entry: Entry) -> Record | None:
        return self._emitted.get(_name(entry))


def phase_of(records: list[Record], program: str, *, replays: bool) -> list[Record]:
    """The rows a program remembers: on from its first lease; one that does not replay remembers its last one only."""
    starts = [n for n, r in enumerate(records) if r.kind == LEASE and r.payload["program"] == program]
    return records[starts[0 if replays else -1] :]


def _name(row: Entry | Record) -> tuple[str, str, str]:
    return row.kind, str(row.payload.get("type", "")), row.key


# --- what a step came to, as it is journalled


def failure(error: Exception) -> dict[str, Any]:
    """The outcome of an effect that raised. A defect is told apart from what a person can act on by its code."""
    if isinstance(error, TimeoutError):
        return {"timeout": str(error)}
    if not isinstance(error, DeployError):
        error = defect(error)
    return {"error": error.to_json()}


def result(outcome: dict[str, Any]) -> Json:
    """What the verb returns or raises for an outcome: the same the first time and on every replay."""
    if "timeout" in outcome:
        raise TimeoutError(outcome["timeout"])
    if "error" in outcome:
        raise DeployError.from_json(outcome["error"])
    return outcome["result"]


def took(signal: Taken | None) -> dict[str, Any]:
    fields = None if signal is None else {"name": signal.name, "payload": signal.payload, "by": signal.by}
    return {"taken": fields}


def taken(outcome: dict[str, Any]) -> Taken | None:
    return None if outcome["taken"] is None else Taken(**outcome["taken"])


def defect(error: BaseException) -> DeployError:
    return DeployError("E_INTERNAL", f"{type(error).__name__}: {error}", "a defect of soc-deploy, not of your project")
