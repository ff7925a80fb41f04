"""CPU and memory of instances, with their workers. A process that vanished gives no sample, not zero."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from soc_deploy_mcp.tools.local import proc
from soc_deploy_mcp.tools.local.instances import Instance

FRESH_S = 1.0  # a sample costs some milliseconds an instance: not taken more often


@dataclass(frozen=True, slots=True)
class Usage:
    cpu_ratio: float | None  # of `resources.cpus`, or the cores we may use; None: not two samples yet
    memory_ratio: float | None  # of `resources.memory_mb`, the control group's limit, or the machine's memory
    memory_bytes: int | None  # proportional set size


@dataclass(frozen=True, slots=True)
class Reading:
    """Processor time of the processes of one instance at one moment."""

    at: float  # monotonic
    ticks: Mapping[tuple[int, int], int]  # (pid, start) -> user + system ticks


def cpu_ratio(old: Reading, new: Reading, cpus: float) -> float | None:
    """Share of `cpus` cores between two readings. A worker that ended between them takes its last moments with it."""
    passed = new.at - old.at
    if passed <= 0:
        return None
    spent = sum(ticks - old.ticks.get(key, 0) for key, ticks in new.ticks.items())
    return max(0.0, spent / proc.TICKS_PER_S / passed / cpus)


class Meter:
    """Samples the instances of one target, at most once in `FRESH_S`."""

    def __init__(self) -> None:
        self._readings: dict[tuple[str, int], Reading] = {}
        self._usage: dict[str, Usage] = {}
        self._taken = 0.0

    def sample(self, instances: Iterable[Instance]) -> Mapping[str, Usage]:
        """Usage by instance name; those that do not live are left out."""
        now = time.monotonic()
        if now - self._taken < FRESH_S:
            return self._usage
        living = [(i, i.leader) for i in instances if i.leader is not None]
        families = proc.sessions([leader for _, leader in living if leader is not None])
        old, self._readings, self._usage, self._taken = self._readings, {}, {}, now
        for instance, leader in living:
            if leader is not None and (family := families[leader]):
                key = (instance.name, leader)
                reading = Reading(time.monotonic(), {(s.pid, s.start): s.ticks for s in family})
                self._readings[key] = reading
                self._usage[instance.name] = _usage(instance, family, old.get(key), reading)
        return self._usage


def _usage(instance: Instance, family: list[proc.Stat], old: Reading | None, new: Reading) -> Usage:
    sizes = [size for seen in family if (size := proc.pss_bytes(seen.pid)) is not None]
    memory = sum(sizes) if sizes else None
    limit = instance.memory_mb * 1024 * 1024 if instance.memory_mb else memory_limit()
    cpus = instance.cpus or float(len(os.sched_getaffinity(0)))
    return Usage(
        cpu_ratio=cpu_ratio(old, new, cpus) if old else None,
        memory_ratio=memory / limit if memory is not None else None,
        memory_bytes=memory,
    )


@cache
def memory_limit() -> int:
    """Bytes: the limit of our control group, or the machine's memory."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        group = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2].lstrip("/")
        limit = (Path("/sys/fs/cgroup") / group / "memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total
