"""A real Envoy on free ports: two releases, users by weight, probes by header; and what it serves."""

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

OLD, NEW = "v2_0_8-aaaa1111", "v2_1_0-bbbb2222"
BUCKETS = (1, 2, 5, 10, 25, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000, 2500, 5000, 10000)
FILTER = r"^cluster\.[^.]+\.(upstream_rq_.xx|upstream_rq_time)$"
_EXTENSION = "type.googleapis.com/envoy.extensions."


@dataclass(frozen=True)
class Envoy:
    entry: str
    admin: Path

    async def page(self) -> bytes:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(self.admin))) as client:
            answer = await client.get(f"http://envoy/stats/prometheus?usedonly&filter={quote(FILTER)}")
            return answer.raise_for_status().content


@asynccontextmanager
async def running(program: Path, folder: Path) -> AsyncIterator[Envoy]:
    """Envoy in front of one instance of each release; ended with the block."""
    async with application(OLD) as old_port, application(NEW) as new_port:
        entry = _free_port()
        admin = folder / "a.sock"
        (folder / "boot.json").write_text(json.dumps(_boot(entry, admin, {OLD: old_port, NEW: new_port})))
        argv = [str(program), "-c", str(folder / "boot.json"), "--concurrency", "1", "--disable-hot-restart"]
        process = subprocess.Popen([*argv, "--log-level", "error"], stderr=subprocess.DEVNULL)
        try:
            envoy = Envoy(f"http://127.0.0.1:{entry}", admin)
            await _until(lambda: _serves(envoy))
            yield envoy
        finally:
            process.kill()
            process.wait(30)


@asynccontextmanager
async def application(release: str) -> AsyncIterator[int]:
    """Says which release it is; /500 fails, /slow takes 0.3 s."""

    open_: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_[task] = writer
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1]
                await asyncio.sleep(0.3 if path == b"/slow" else 0)
                status = b"500 Failed" if path == b"/500" else b"200 OK"
                writer.write(b"HTTP/1.1 %s\r\nx-release: %s\r\ncontent-length: 0\r\n\r\n" % (status, release.encode()))
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in open_.values():
            writer.close()
        await asyncio.gather(*open_)


async def _serves(envoy: Envoy) -> bool:
    async with httpx.AsyncClient() as client:
        return (await client.get(envoy.entry, headers={"x-aimed": NEW})).status_code == 200


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(600):
        try:
            if await holds():
                return
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.05)
    raise RuntimeError("Envoy did not come up")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _boot(entry: int, admin: Path, ports: dict[str, int]) -> dict[str, Any]:
    clusters = [_cluster(name, port) for name, port in ports.items()]
    clusters += [_aggregate(f"{NEW}+", NEW, OLD), _aggregate(f"{OLD}~", OLD)]
    aimed = [_route({"headers": [_header(name.rstrip("~"))]}, {"cluster": name}) for name in (f"{OLD}~", NEW)]
    weighted = {"clusters": [{"name": OLD, "weight": 70}, {"name": f"{NEW}+", "weight": 30}]}
    return {
        "admin": {"address": {"pipe": {"path": str(admin)}}},
        "stats_flush_interval": "0.2s",
        "stats_config": {"histogram_bucket_settings": [{"match": {"prefix": "cluster."}, "buckets": BUCKETS}]},
        "static_resources": {
            "clusters": clusters,
            "listeners": [_listener(entry, [*aimed, _route({}, {"weighted_clusters": weighted})])],
        },
    }


def _cluster(name: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    ends = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": ends}}


def _aggregate(name: str, *of: str) -> dict[str, Any]:
    config = {"@type": _EXTENSION + "clusters.aggregate.v3.ClusterConfig", "clusters": of}
    kind = {"name": "envoy.clusters.aggregate", "typed_config": config}
    return {"name": name, "lb_policy": "CLUSTER_PROVIDED", "cluster_type": kind}


def _header(value: str) -> dict[str, Any]:
    return {"name": "x-aimed", "string_match": {"exact": value}}


def _route(match: dict[str, Any], route: dict[str, Any]) -> dict[str, Any]:
    name = {"header": {"key": "x-counted-as", "value": "%UPSTREAM_CLUSTER%"}}
    return {"match": {"prefix": "/"} | match, "route": route, "response_headers_to_add": [name]}


def _listener(port: int, routes: list[dict[str, Any]]) -> dict[str, Any]:
    manager = {
        "@type": _EXTENSION + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "route_config": {"name": "r", "virtual_hosts": [{"name": "app", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "r", "typed_config": {"@type": _EXTENSION + "filters.http.router.v3.Router"}}],
    }
    return {
        "name": "edge",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
    }
