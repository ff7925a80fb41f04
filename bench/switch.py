"""Switches between two versions under load: requests lost, and the time until users meet the new version.

    KAMAL_PROXY=/path/to/kamal-proxy python -m bench.switch [--switches 20] [--requests 20000] [--rate 150]

The rival is kamal-proxy at tag v0.9.2 of its repository (basecamp/kamal-proxy), built there with Go by
`CGO_ENABLED=0 go build -trimpath ./cmd/kamal-proxy`. Without KAMAL_PROXY its figures are not run, and neither are the
goals that compare. Where it is run, both get the same load at the same time and switch in turn.

The load is the example shop's: open loop, three requests in ten on a new connection and the others on kept-alive ones,
three in ten orders (POST), and one two-second request a second. A request counts as failed when it got no answer, or
one of status 400 or more, whoever gave it.

Two spans are timed, each from the command to the end of the first answer of the new version that a user gets:

switch   The instances of the new version run, answered their health check and get no user. Ours: one `shift` of the
         platform, armed with dead-man timer and spill-over as a blue-green release has it. kamal-proxy: one
         `kamal-proxy deploy`, which asks the health check once more. Its command is a process and ours a call in a
         process that runs; `list` of kamal-proxy, which changes nothing, is timed beside it to show what that costs.
release  Nothing of the new version runs. From the order to start its instances: ours `ensure` and `shift`;
         kamal-proxy's side starts the processes and says `deploy` at once, as Kamal does with a container.

Each is followed by the rest of a release on both sides: the old version's requests finish, its instances end.

The goals that compare are those of a release, which is what a user orders. For the bare switch the goals are in
milliseconds and its share of the rival's is shown beside them: kamal-proxy is the faster one there, and half of its
worst time is less than the time between two requests of this load.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench._report import Goal, finish
from bench._routers import INSTANCES, VERSIONS, KamalProxy, Router, SocDeploy, kamal_proxy, soc_deploy
from tests.support.load import Load, load

SPANS = ("switch", "release")
RATIOS: dict[str, Goal] = {"p50": ("<=", 1.0), "worst": ("<=", 0.5)}  # of the rival's, for a release
SWITCH_MS: dict[str, Goal] = {"p50": ("<=", 55.0), "worst": ("<=", 500.0)}
RIVAL = "KAMAL_PROXY"  # the environment variable that names its program
LISTED = "kamal-proxy: list p50 ms"

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Turn:
    """One command. `began` is in seconds since the epoch."""

    span: str
    version: str
    began: float


@dataclass
class Contender:
    """A router under load, and what was done to it."""

    router: Router
    users: Load
    turns: list[Turn] = field(default_factory=list)

    async def turn(self, span: str) -> None:
        """Change to the other version, the whole way."""
        old, new = VERSIONS if len(self.turns) % 2 == 0 else VERSIONS[::-1]
        if span == "switch":
            await self.router.start(new)
        self.turns.append(Turn(span, new, time.time()))
        await (self.router.switch(new, old) if span == "switch" else self.router.release(new, old))
        await self.router.retire(old)

    def figures(self) -> Figures:
        """Ends the load. Milliseconds; the answers of a version are told by its own header."""
        summary = self.users.stop()
        ended = [(r["t"] + r["ms"] / 1000, r["version"]) for r in self.users.records() if not r["error"]]
        found: Figures = {"requests": summary["sent"], "failed": summary["failed"], "switches": len(self.turns)}
        for span in SPANS:
            taken = [first_answer_ms(turn, ended) for turn in self.turns if turn.span == span]
            found |= {f"{span} p50 ms": statistics.median(taken), f"{span} worst ms": max(taken)}
        return found


def first_answer_ms(turn: Turn, ended: Sequence[tuple[float, str]]) -> float:
    """From the command to the first answer of its version. `ended`: when an answer was there, and whose."""
    return (min(at for at, version in ended if version == turn.version and at >= turn.began) - turn.began) * 1000


async def play(contenders: Sequence[Contender], switches: int, requests: int) -> None:
    """So many commands of each kind on each, in turn; then on until each has had so many requests."""
    for number in range(switches):
        for span in SPANS:
            for contender in contenders[:: -1 if number % 2 else 1]:
                await contender.turn(span)
    for contender in contenders:
        await asyncio.to_thread(contender.users.wait_sent, requests, 3600)


async def measure(options: argparse.Namespace, rival: str) -> Figures:
    with tempfile.TemporaryDirectory(prefix="soc-bench-") as name:
        figures = Figures()
        async with AsyncExitStack() as stack:
            routers: list[Router] = [await stack.enter_async_context(soc_deploy(Path(name, "ours")))]
            if rival:
                kamal = await stack.enter_async_context(kamal_proxy(rival, Path(name, "theirs")))
                routers.append(kamal)
            contenders = []
            for router in routers:
                users = load(router.entry, Path(name, router.name), rate=options.rate, new=0.3, post=0.3, slow=1)
                contenders.append(Contender(router, stack.enter_context(users)))
            await play(contenders, options.switches, options.requests)
            for contender in contenders:
                found = await asyncio.to_thread(contender.figures)
                figures |= {f"{contender.router.name}: {what}": value for what, value in found.items()}
            if rival:
                figures[LISTED] = statistics.median(kamal.listed_ms)
    return figures


def compared(figures: Figures) -> Figures:
    """Ours as a share of the rival's; None where the rival was not run."""
    found = Figures()
    for span in SPANS:
        for what in RATIOS:
            ours, theirs = (figures.get(f"{name}: {span} {what} ms") for name in (SocDeploy.name, KamalProxy.name))
            found[f"{span} {what} / kamal-proxy"] = ours / theirs if ours and theirs else None
    return found


def goals(requests: int, switches: int) -> dict[str, Goal]:
    found: dict[str, Goal] = {
        "soc-deploy: requests": (">=", requests),
        "soc-deploy: failed": ("==", 0),
        "soc-deploy: switches": (">=", switches),
    }
    found |= {f"soc-deploy: switch {what} ms": goal for what, goal in SWITCH_MS.items()}
    return found | {f"release {what} / kamal-proxy": goal for what, goal in RATIOS.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--switches", type=int, default=20, help="of each kind, on each router (20)")
    parser.add_argument("--requests", type=int, default=20_000, help="at least so many to each router (20000)")
    parser.add_argument("--rate", type=float, default=150, help="requests a second to each router (150)")
    options, rival = parser.parse_args(), os.environ.get(RIVAL, "")
    if rival and shutil.which(rival) is None:
        parser.error(f"{RIVAL} names no program: {rival}")
    before = os.getloadavg()[0]
    figures = asyncio.run(measure(options, rival))
    conditions = {
        "pairs": "switch: shift | kamal-proxy deploy, instances started; release: ensure + shift | start + deploy",
        "rival": "kamal-proxy" if rival else f"not run: {RIVAL} names no program",
        "instances": INSTANCES,
        "load": f"{options.rate:g} requests/s to each router at once, 30 % new connections, 30 % POST, 1 slow (2 s)/s",
        "machine's load": [round(before, 1), round(os.getloadavg()[0], 1)],
    }
    ratios = compared(figures)
    not_run = [figure for figure, value in ratios.items() if value is None]
    return finish("switch", figures | ratios, goals(20_000, 20), conditions, not_run=not_run)


if __name__ == "__main__":
    sys.exit(main())
