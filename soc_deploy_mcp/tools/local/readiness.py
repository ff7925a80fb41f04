"""Waiting until instances answer well, by themselves and on a port that is theirs.

The port's owner is looked at once, at the end: a process that was forgotten there would answer for the new version.
"""

import asyncio
import time
from collections.abc import Iterable

from soc_deploy_mcp.core.config.service import Health
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.tools.local import http1, instances, proc
from soc_deploy_mcp.tools.local.instances import Instance

REFUSED = "connection refused"
LOOK_S, PASS_S = 0.02, 0.05  # between two questions before the first good answer, and after it


class Vanished(Exception):
    """An instance that was there is over: another one is needed."""


async def wait_ready(instance: Instance, health: Health, *, fresh: bool, secrets: Iterable[str] = ()) -> None:
    """Until it gave `health.passes` good answers in a row. The deadline is absolute: flapping does not move it.

    `fresh`: it was started just now, so an end means that it cannot start. Raises E_EXITED_AT_START,
    E_START_TIMEOUT, E_PORT_NOT_OWNED; Vanished for one that is not fresh.
    """
    deadline = time.monotonic() + health.start_timeout_s
    good, last = 0, "no answer yet"
    while time.monotonic() < deadline:
        seen = instances.read(instance.directory)
        if seen is None or _ended(seen, fresh):
            raise _exited(instance, seen, secrets) if fresh else Vanished()
        problem = await _problem(instance.port, health)
        good, last = (0, problem) if problem else (good + 1, last)
        if good >= health.passes:
            _owns_its_port(instance)
            return
        await asyncio.sleep(PASS_S if good else LOOK_S)
    raise DeployError(
        "E_START_TIMEOUT",
        f"{instance.name} was not ready after {health.start_timeout_s:g} s; last seen: {last}",
        _output(instance, secrets),
        _advice(last, health),
    )


def _advice(last: str, health: Health) -> str:
    """What to do about the last thing that was seen."""
    if last == REFUSED:
        return (
            "make the application listen on the port it is given: {port} in run, or PORT with reads_port_env: true\n"
            "raise health.start_timeout_s in soc-deploy.yaml"
        )
    if last.startswith("status "):
        return f"make {health.path} answer {health.expect}, or set health.path and health.expect in soc-deploy.yaml"
    return f"make {health.path} answer within {health.timeout_s:g} s, or raise health.timeout_s in soc-deploy.yaml"


def _output(instance: Instance, secrets: Iterable[str]) -> str:
    said = instances.tail(instance.directory, secrets=secrets)
    return f"The end of its output (untrusted):\n{said}" if said else "It wrote nothing."


def _ended(seen: Instance, fresh: bool) -> bool:
    if seen.status is None and time.time() - seen.ordered_at < instances.TAKEN_S:
        return False  # its supervisor has not taken the directory yet
    return seen.over or (fresh and seen.crashes > 0)


async def _problem(port: int, health: Health) -> str:
    """What is wrong with its health answer; empty when nothing is."""
    try:
        answer = await http1.request(("127.0.0.1", port), "GET", health.path, timeout=health.timeout_s)
    except ConnectionRefusedError:
        return REFUSED
    except (OSError, TimeoutError, http1.BadAnswer) as failed:
        return str(failed) or f"no answer in {health.timeout_s:g} s"
    return "" if answer.status == health.expect else f"status {answer.status}"


def _owns_its_port(instance: Instance) -> None:
    """Raises E_PORT_NOT_OWNED."""
    seen = instances.read(instance.directory)
    leader = seen.leader if seen else None
    family = proc.sessions([leader])[leader] if leader else []
    if proc.owned_by(proc.listening(instance.port), [s.pid for s in family]):
        return
    stranger = proc.owner(instance.port, [leader] if leader else [])
    raise DeployError(
        "E_PORT_NOT_OWNED",
        f"{stranger or 'another process'} answers on {instance.port}, which belongs to {instance.name}",
        "The application must listen itself, not through a process it detached.",
        "stop that process, then repeat the command",
    )


def _exited(instance: Instance, seen: Instance | None, secrets: Iterable[str]) -> DeployError:
    status = seen.status if seen else None
    how = "ended"
    if status is not None and status.code is not None:
        how = f"ended with exit code {status.code}" if status.code >= 0 else f"was ended by signal {-status.code}"
    reason = status.reason if status and status.reason not in ("", "ended") else ""
    return DeployError(
        "E_EXITED_AT_START",
        f"{instance.name} {how} while it started" + (f": {reason}" if reason else ""),
        _output(instance, secrets),
        f"less {instance.directory / 'out.log'}",
    )
