"""Small worlds for the tests of tools/local."""

from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.config.service import ServiceSpec
from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.release import Artifact, Release
from soc_deploy_mcp.tools.local.instances import Instance, Status
from soc_deploy_mcp.tools.local.state import Endpoint, Pool, RouterState, Routes, pool_for, shifted, with_instances

OLD, NEW = Slug("v1_0_0-aaaa1111"), Slug("v2_0_0-bbbb2222")
XDS = Path("/run/xds")
TOKEN = "0" * 32


def spec(**changes: Any) -> ServiceSpec:
    return ServiceSpec.model_validate({"run": ["app", "{port}"]} | changes)


def release(version: str = "v1.0.0", artifact: Artifact | None = None, **changes: Any) -> Release:
    some = Artifact(kind="dir", source="/nowhere", digest=version.ljust(64, "0"), provenance="a test")
    return Release(version=version, artifact=artifact or some, spec=spec(**changes))


def pool(slug: Slug, *ports: int, draining: tuple[int, ...] = ()) -> Pool:
    ends = tuple(Endpoint(port=p, draining=p in draining) for p in ports)
    return Pool(slug=slug, version=slug.split("-")[0].replace("_", "."), endpoints=ends)


def serving(old: int = 95, new: int = 5, spill: bool = False) -> RouterState:
    """Two releases with two instances each."""
    state = RouterState()
    for slug, ports in ((OLD, (21001, 21003)), (NEW, (21002, 21004))):
        state = with_instances(state, pool_for(slug, slug[:6].replace("_", "."), spec()), ports)
    return shifted(state, {OLD: old, NEW: new}, OLD if spill else None)


def routes(state: RouterState, **changes: Any) -> Routes:
    return state.routes.model_copy(update=changes)


def status(**changes: Any) -> Status:
    usual: dict[str, Any] = {
        "state": "running",
        "pid": 100,
        "start": 5000,
        "shim": 99,
        "shim_start": 4990,
        "boot_id": "b",
        "code": None,
        "stopped": False,
        "restarts": 0,
        "reason": "",
    }
    return Status(**(usual | changes))


def instance(port: int = 21001, slug: Slug = OLD, **changes: Any) -> Instance:
    usual: dict[str, Any] = {
        "name": f"{slug}-{port}",
        "directory": Path(f"/i/{slug}-{port}"),
        "release": slug,
        "version": "v1.0.0",
        "port": port,
        "ordered_at": 0.0,
        "grace_s": 5.0,
        "cpus": None,
        "memory_mb": None,
        "status": status(),
        "alive": True,
        "supervised": True,
    }
    return Instance(**(usual | changes))
