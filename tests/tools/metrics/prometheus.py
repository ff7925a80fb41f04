"""A real Prometheus beside our evaluator, both over the same recorded samples."""

import json
import os
import random
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from soc_deploy_mcp.tools.metrics.exposition import Key, series_text
from tests.tools.metrics.build import START_MS

History = dict[Key, list[tuple[int, float]]]


def binary() -> Path | None:
    """From SOC_PROMETHEUS_BIN or the PATH; promtool, which loads the samples, must be beside it."""
    found = os.environ.get("SOC_PROMETHEUS_BIN") or shutil.which("prometheus")
    return Path(found) if found and (Path(found).parent / "promtool").exists() else None


def recorded(seed: int) -> History:
    """Two minutes of a router and an application: counters with resets and gaps, gauges with NaN, a histogram."""
    rng = random.Random(seed)
    out: History = {}
    for job in ("a", "b"):
        for code in ("200", "404", "500"):
            out[_key("requests_total", job=job, code=code)] = _counter(rng, rng.choice((0.2, 3.0, 40.0)))
        for instance in ("1", "2", "3"):
            out[_key("depth", job=job, replica=instance)] = _gauge(rng)
        rate, bounds = rng.uniform(0.5, 30), ("5", "25", "100", "+Inf")
        parts = [_counter(rng, rate * share) for share in (0.2, 0.5, 0.2, 0.1)]
        for i, bound in enumerate(bounds):
            summed = [(part[0], sum(p[1] for p in parts_at)) for part, parts_at in _summed(parts[: i + 1])]
            out[_key("took_bucket", job=job, le=bound)] = summed
    return out


def _key(name: str, **labels: str) -> Key:
    return tuple(sorted({"__name__": name, **labels}.items()))


def _times(rng: random.Random) -> list[int]:
    spacing = rng.choice((1000, 2500, 5000))
    start = rng.randrange(0, 60_000) if rng.random() < 0.3 else rng.randrange(0, 5000)
    end = rng.randrange(60_000, 120_000) if rng.random() < 0.3 else 120_000
    at = [START_MS + t + rng.randrange(0, 50) for t in range(start, end, spacing)]
    return [t for t in at if rng.random() > 0.05]


def _counter(rng: random.Random, rate: float) -> list[tuple[int, float]]:
    value, out = float(rng.choice((0, 0, 7, 12_345))), []
    for t in _times(rng):
        value = 0.0 if rng.random() < 0.02 else value + float(rng.randrange(0, int(2 * rate) + 2))
        out.append((t, value))
    return out


def _gauge(rng: random.Random) -> list[tuple[int, float]]:
    odd = (float("nan"), float("inf"), 0.0, -3.5)
    return [(t, rng.choice(odd) if rng.random() < 0.03 else rng.gauss(10, 4)) for t in _times(rng)]


def _summed(parts: list[list[tuple[int, float]]]) -> Iterator[tuple[tuple[int, float], list[tuple[int, float]]]]:
    """Each sample of the first part with the newest samples of all parts."""
    for sample in parts[0]:
        yield sample, [max((s for s in part if s[0] <= sample[0]), default=part[0]) for part in parts]


@dataclass(frozen=True)
class Prometheus:
    url: str
    major: int

    def query(self, expr: str, t_ms: int) -> dict[frozenset[tuple[str, str]], float] | str:
        """Labels -> value, or the error's text."""
        asked = urllib.parse.urlencode({"query": expr, "time": f"{t_ms / 1000:.3f}"}).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query", asked, timeout=30) as answer:
                data = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            return str(json.load(error)["error"])
        if data["resultType"] == "scalar":
            return {frozenset(): float(data["result"][1])}
        return {frozenset(r["metric"].items()): float(r["value"][1]) for r in data["result"]}


@contextmanager
def running(program: Path, history: History, folder: Path) -> Iterator[Prometheus]:
    """Prometheus with the history loaded as blocks, on a free port of the loopback."""
    data = folder / "samples.om"
    data.write_text(_open_metrics(history))
    load = [
        str(program.parent / "promtool"),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        str(data),
        str(folder / "tsdb"),
    ]
    subprocess.run(load, check=True, capture_output=True, timeout=60)
    (folder / "none.yml").write_text("{}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [str(program), f"--config.file={folder / 'none.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    argv += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y", "--log.level=error"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Prometheus(f"http://127.0.0.1:{port}", _wait_ready(f"http://127.0.0.1:{port}", process))
    finally:
        process.terminate()
        process.wait(30)


def _open_metrics(history: History) -> str:
    lines = []
    for name in sorted({dict(key)["__name__"] for key in history}):
        for key, samples in history.items():
            if dict(key)["__name__"] == name:
                lines += [f"{series_text(key)} {_number(value)} {t / 1000:.3f}" for t, value in samples]
    return "\n".join([*lines, "# EOF", ""])


def _number(value: float) -> str:
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(repr(value), repr(value))


def _wait_ready(url: str, process: "subprocess.Popen[bytes]") -> int:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"prometheus ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/api/v1/status/buildinfo", timeout=5) as answer:
                return int(json.load(answer)["data"]["version"].split(".")[0])
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("prometheus did not become ready")
