"""A fake platform that remembers what the world was like at each write and each probe."""

from dataclasses import dataclass

from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.platform import Probe
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.engine.clock import Clock
from tests.fakes.platform import FakePlatform


@dataclass(frozen=True)
class Moment:
    """What stood when something was written, or asked (verb `probe`; slug None: as users)."""

    at: float
    verb: str
    slug: Slug | None
    weights: dict[Slug, int]
    ready: dict[Slug, int]
    answer: Slug | None = None

    def weight(self, slug: Slug) -> int:
        return self.weights.get(slug, 0)


class RecordingPlatform(FakePlatform):
    """`moments` in order. `misrouted` answers probes as users from this release, whatever the weights say."""

    def __init__(self, clock: Clock, *, rps: float = 200.0) -> None:
        super().__init__(clock, rps=rps)
        self.moments: list[Moment] = []
        self.misrouted: Slug | None = None

    def _moment(self, verb: str, slug: Slug | None, answer: Slug | None = None) -> None:
        ready = {slug: len(self._ready(slug)) for slug in self.instances}
        self.moments.append(Moment(self.clock.monotonic(), verb, slug, dict(self.weights), ready, answer))

    def _note(self, verb: str, slug: Slug | None) -> None:
        super()._note(verb, slug)
        self._moment(verb, slug)

    async def probe(
        self, target: Target, release: Slug | None, path: str, *, method: str = "GET", fresh: bool = False
    ) -> Probe:
        seen = await super().probe(target, release, path, method=method, fresh=fresh)
        if release is None and self.misrouted is not None:
            seen = Probe(200, 2.0, self.misrouted)
        self._moment("probe", release, seen.release)
        return seen

    def writes(self, *verbs: str) -> list[Moment]:
        return [m for m in self.moments if m.verb != "probe" and (not verbs or m.verb in verbs)]
