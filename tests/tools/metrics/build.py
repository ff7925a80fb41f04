"""Small builders: pages, stores with a history, sources fed by hand."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from soc_deploy_mcp.tools.metrics import LocalSource
from soc_deploy_mcp.tools.metrics.exposition import escaped, parse
from soc_deploy_mcp.tools.metrics.store import Store

START_MS = 1_700_000_000_000
OLD = "v2_0_8-aaaa1111"


def line(name: str, value: float, **labels: str) -> str:
    inner = ",".join(f'{label}="{escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inner}}} {value!r}\n".replace("inf", "Inf").replace("nan", "NaN")


def page(*lines: str) -> bytes:
    return ("".join(lines) or "# nothing yet\n").encode()


def scrape(store: Store, t_ms: int, *lines: str, name: str = "router", labels: Mapping[str, str] | None = None) -> None:
    store.add(name, t_ms, parse(page(*lines)).samples, labels)


def history(values: Iterable[float | None], *, name: str = "x", step_ms: int = 1000, **labels: str) -> Store:
    """One series, one value every step from START_MS; None: the page came without it."""
    store = Store()
    for i, value in enumerate(values):
        scrape(store, START_MS + i * step_ms, *([] if value is None else [line(name, value, **labels)]))
    return store


@dataclass(frozen=True)
class Reader:
    """One scraped thing, as a platform gives it."""

    name: str
    read: Callable[[], Awaitable[bytes]]
    labels: Mapping[str, str] = field(default_factory=dict)
    after_others: bool = False


class Clock:
    """Seconds since 1970, turned by hand."""

    def __init__(self) -> None:
        self.now = START_MS / 1000

    def __call__(self) -> float:
        return self.now


class Router:
    """A router's counters of one process, as its page shows them: what was never touched is not there."""

    BOUNDS = (25.0, 100.0, 150.0, 200.0, 1000.0, float("inf"))

    def __init__(self) -> None:
        self.up = True
        self.classes: dict[tuple[str, str], int] = {}
        self.timed: dict[str, list[int]] = {}

    def serve(self, name: str, n: int, *, errors: int = 0, ms: float = 10, slow: int = 0, slow_ms: float = 500) -> None:
        """n answers under a name, `errors` of them 5xx, `slow` of them taking `slow_ms` instead of `ms`."""
        for code, count in (("2", n - errors), ("5", errors)):
            if count:
                self.classes[name, code] = self.classes.get((name, code), 0) + count
        counts = self.timed.setdefault(name, [0] * len(self.BOUNDS))
        for i, bound in enumerate(self.BOUNDS):
            counts[i] += (n - slow) * (ms <= bound) + slow * (slow_ms <= bound)

    async def page(self) -> bytes:
        if not self.up:
            raise ConnectionRefusedError("refused")
        lines = [
            line("envoy_cluster_upstream_rq_xx", v, envoy_response_code_class=code, envoy_cluster_name=name)
            for (name, code), v in self.classes.items()
        ]
        lines += [
            line(
                "envoy_cluster_upstream_rq_time_bucket", v, envoy_cluster_name=name, le=f"{b:g}".replace("inf", "+Inf")
            )
            for name, counts in self.timed.items()
            for b, v in zip(self.BOUNDS, counts, strict=True)
        ]
        return page(*lines)


class Probes:
    """Our own requests as the platform counts them."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    def sent(self, name: str, n: int, *, errors: int = 0) -> None:
        for code, count in (("2", n - errors), ("5", errors)):
            if count:
                self.counts[name, code] = self.counts.get((name, code), 0) + count

    async def page(self) -> bytes:
        return page(
            *(
                line(
                    "soc_probes_total",
                    v,
                    release=name.rstrip("+~"),
                    envoy_cluster_name=name,
                    envoy_response_code_class=c,
                )
                for (name, c), v in self.counts.items()
            )
        )


class Past:
    """A router with a past, scraped every `step` seconds."""

    def __init__(self) -> None:
        self.clock, self.router = Clock(), Router()
        self.readers = [Reader("router", self.router.page)]
        self.source = LocalSource(lambda: self.readers, now=self.clock)

    async def seconds(self, count: int, *, step: float = 1.0, n: int = 0, errors: int = 0, slow: int = 0) -> None:
        for _ in range(count):
            self.clock.now += step
            if n:
                self.router.serve(OLD, n, errors=errors, slow=slow)
            await self.source.scrape_now()
