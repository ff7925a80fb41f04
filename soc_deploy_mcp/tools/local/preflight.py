"""Can this machine run the service? Looked at before anything is started, so that a refusal changes nothing."""

import asyncio
import os
import platform
import shutil
import sys
import time
from pathlib import Path

from soc_deploy_mcp.core.config.service import ServiceSpec
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.evidence import Evidence, observed
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.tools.local import instances, launch, limits, proc
from soc_deploy_mcp.tools.local.layout import SOCKET_LIMIT, Place
from soc_deploy_mcp.tools.local.releases import SPARE_MB
from soc_deploy_mcp.tools.local.router import check_entry_free

ROUTER_MB = 72
CAP_NET_BIND_SERVICE = 10
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs"}
)
_SHORTEST = "r/guard.sock"


async def inspect(spec: ServiceSpec, home: Path, *, target: Target | None = None) -> tuple[Evidence, ...]:
    """What was looked at, as evidence. With a target its own running router is no obstacle.

    Raises E_UNSUPPORTED_OS, E_HOME_UNFIT, E_NO_ROUTER, E_LISTEN_IN_USE, E_LISTEN_PRIVILEGED, E_LOW_DISK, E_LOW_FILES,
    E_LOW_MEMORY.
    """
    return await asyncio.to_thread(_inspect, spec, home, target)


def _inspect(spec: ServiceSpec, home: Path, target: Target | None) -> tuple[Evidence, ...]:
    place = Place.of(home, target) if target else None
    figures = {
        "system": check_system(sys.platform),
        "home": check_home(home),
        "router": check_router(),
        "entry": check_entry(spec, place),
        "disk": check_disk(home),
        "files": check_files(spec.router.max_connections, limits.hard_files()),
        "memory": check_memory(spec, available_mb()),
    }
    now = Instant(time.time())
    return tuple(
        observed("machine", name, tool="local", query=f"inspect {name}", figure=figure, at=now)
        for name, figure in figures.items()
    )


def check_system(system: str) -> str:
    if system != "linux":
        raise DeployError(
            "E_UNSUPPORTED_OS",
            f"the local platform does not run on {system}",
            "It needs Linux: /proc, pidfd and control of process groups.",
            "run it inside Linux (on Windows: WSL)",
        )
    return f"Linux {platform.release()} {platform.machine()}"


def check_router() -> str:
    """Raises E_NO_ROUTER."""
    program = launch.find_envoy()
    if not os.access(program, os.X_OK):
        raise launch.no_router(f"{program} cannot be executed")
    return f"Envoy {launch.envoy_version()}"


# --- the state home


def check_home(home: Path) -> str:
    """Made where it is missing. Raises E_HOME_UNFIT."""
    longest = len(os.fsencode(home / "t" / ("x" * 12) / _SHORTEST))
    if longest > SOCKET_LIMIT:
        raise _unfit(home, f"Its sockets would have paths of {longest} bytes; {SOCKET_LIMIT} are possible.")
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = home.stat()
    except OSError as failed:
        raise _unfit(home, f"It cannot be made: {failed.strerror}.") from None
    if about.st_uid != os.geteuid():
        raise _unfit(home, f"It belongs to user {about.st_uid}, not to us ({os.geteuid()}).")
    if about.st_mode & 0o077:
        raise _unfit(home, f"Others may enter it (mode {about.st_mode & 0o777:o}).", f"chmod 700 {home}")
    kind = file_system(home.resolve(), Path("/proc/self/mountinfo").read_text())
    if kind in NETWORK_FILE_SYSTEMS:
        raise _unfit(home, f"It lies on a network file system ({kind}): locks cannot be trusted there.")
    return f"{home} ({kind})"


def file_system(path: Path, mountinfo: str) -> str:
    """The type of the file system a path lies on; `mountinfo` as in proc(5)."""
    best, kind = -1, "unknown"
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        mounted = Path(left.split()[4].replace("\\040", " "))
        if path.is_relative_to(mounted) and len(mounted.parts) >= best:
            best, kind = len(mounted.parts), right.split()[0]
    return kind


def _unfit(home: Path, why: str, try_: str = "export SOC_DEPLOY_HOME=~/.soc") -> DeployError:
    return DeployError("E_HOME_UNFIT", f"the state home {home} cannot be used", why, try_)


# --- the entry


def check_entry(spec: ServiceSpec, place: Place | None) -> str:
    """Raises E_LISTEN_PRIVILEGED, E_LISTEN_IN_USE."""
    host, port = spec.address
    if port < 1024 and not may_bind_low(port, Path("/proc/self/status").read_text()):
        raise DeployError(
            "E_LISTEN_PRIVILEGED",
            f"port {port} needs the right to listen below 1024",
            "Envoy runs as the user who deploys.",
            "choose a port of 1024 or more in soc-deploy.yaml: listen",
        )
    router = instances.read_status(place.router_shim) if place else None
    ours = [router.pid] if router and router.pid and instances.lives(router) else []
    check_entry_free(host, port, ours)
    return f"{host}:{port} is {'served by our router' if ours else 'free'}"


def may_bind_low(port: int, status: str) -> bool:
    """By capability or by the system's limit. `status` as in /proc/self/status."""
    limit = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if limit.exists() and port >= int(limit.read_text()):
        return True
    line = next((text for text in status.splitlines() if text.startswith("CapEff:")), "CapEff: 0")
    return bool(int(line.split()[1], 16) >> CAP_NET_BIND_SERVICE & 1)


# --- resources


def check_disk(home: Path) -> str:
    free = shutil.disk_usage(home).free // 1048576
    if free < SPARE_MB:
        raise DeployError(
            "E_LOW_DISK",
            f"{SPARE_MB} MB are needed on the disk of {home}, {free} MB are free",
            "A release is kept beside the one it replaces.",
            f"df -h {home}",
        )
    return f"{free} MB free"


def check_files(wanted: int, hard: int) -> str:
    """The router takes fewer connections where the limit is low; too few to serve anybody is refused."""
    possible = (hard - limits.ROUTER_OWN_FILES) // 2
    if possible < limits.MIN_CONNECTIONS:
        needed = limits.ROUTER_OWN_FILES + 2 * limits.MIN_CONNECTIONS
        raise DeployError(
            "E_LOW_FILES",
            f"{needed} file descriptors are needed, the hard limit is {hard}",
            "Each connection through the router takes two.",
            f"ulimit -Hn {2 * wanted + limits.ROUTER_OWN_FILES}",
        )
    if possible < wanted:
        return f"limit {hard}: the router takes {possible} connections instead of {wanted}"
    return f"limit {hard}: {wanted} connections"


def check_memory(spec: ServiceSpec, available: int) -> str:
    """Twice the instances run during a switch. Known only where the service names `resources.memory_mb`."""
    needed = 2 * spec.instances * (spec.resources.memory_mb or 0) + ROUTER_MB
    if available < needed:
        raise DeployError(
            "E_LOW_MEMORY",
            f"{needed} MB of memory are needed, {available} MB are available",
            "During a switch both releases run, and the router.",
            "fewer instances or a lower resources.memory_mb in soc-deploy.yaml",
        )
    return f"{available} MB available, {needed} MB needed"


def available_mb() -> int:
    for line in (proc.PROC / "meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0
