"""What the router should do, as one value, and the pure steps from one such value to the next.

The routes name clusters, and a route to a cluster that does not exist yet answers 503: so a change is split into
phases, in each of which every cluster that is named exists (law 5: capacity before traffic, and back).
"""

from collections.abc import Collection, Mapping
from enum import StrEnum

from pydantic import model_validator

from soc_deploy_mcp.core.config.service import Health, ServiceSpec
from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.model import Noun


class Mode(StrEnum):
    SERVE = "serve"
    HOLD = "hold"  # requests wait
    MAINTENANCE = "maintenance"  # 503 with Retry-After


class Endpoint(Noun):
    port: int
    draining: bool = False  # gets no new requests


class Pool(Noun):
    """The instances of a release that the router knows, and how it treats them."""

    slug: Slug
    version: str
    endpoints: tuple[Endpoint, ...] = ()
    health: Health = Health()
    keepalive_s: float = 5.0
    drain_s: float = 30.0
    hold_s: float = 10.0

    @property
    def serving(self) -> tuple[int, ...]:
        return tuple(e.port for e in self.endpoints if not e.draining)

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(e.port for e in self.endpoints)


class Routes(Noun):
    """Who gets users' requests, and which releases probes can be aimed at."""

    mode: Mode = Mode.MAINTENANCE
    weights: dict[Slug, int] = {}  # percent, sum 100; empty unless mode is serve
    spilled: tuple[Slug, ...] = ()  # routed through their spill-over cluster
    aimed: tuple[Slug, ...] = ()  # releases a probe can name
    hold_s: float = 10.0

    @model_validator(mode="after")
    def _adds_up(self) -> "Routes":
        if self.mode is Mode.SERVE:
            if sum(self.weights.values()) != 100 or min(self.weights.values()) < 1:
                raise ValueError(f"weights must be positive and add up to 100: {self.weights}")
        elif self.weights:
            raise ValueError(f"weights without mode serve: {self.weights}")
        return self


class RouterState(Noun):
    pools: tuple[Pool, ...] = ()  # ordered by slug
    spill: dict[Slug, Slug] = {}  # release -> the one that takes its requests when all its instances died
    catch: tuple[Slug, ...] = ()  # whose instances answer the requests that were held
    doomed: tuple[str, ...] = ()  # instances that are being stopped: nobody may adopt them
    routes: Routes = Routes()

    def pool(self, slug: Slug) -> Pool | None:
        return next((p for p in self.pools if p.slug == slug), None)

    @property
    def slugs(self) -> tuple[Slug, ...]:
        return tuple(p.slug for p in self.pools)

    def release_of(self, port: int) -> Slug | None:
        return next((p.slug for p in self.pools if port in p.ports), None)

    @model_validator(mode="after")
    def _names_what_exists(self) -> "RouterState":
        known = set(self.slugs)
        named = {*self.routes.weights, *self.routes.aimed, *self.spill, *self.spill.values(), *self.catch}
        if missing := named - known:
            raise ValueError(f"no such release in the router: {', '.join(sorted(missing))}")
        if loose := set(self.routes.spilled) - self.spill.keys():
            raise ValueError(f"no spill-over cluster for {', '.join(sorted(loose))}")
        ports = [port for p in self.pools for port in p.ports]
        if len(set(ports)) != len(ports):
            raise ValueError("one port in two pools")
        return self


# --- pure steps


def pool_for(slug: Slug, version: str, spec: ServiceSpec) -> Pool:
    return Pool(
        slug=slug,
        version=version,
        health=spec.health,
        keepalive_s=spec.keepalive_s,
        drain_s=spec.drain_s,
        hold_s=spec.hold_s,
    )


def with_instances(state: RouterState, pool: Pool, add: Collection[int], gone: Collection[int] = ()) -> RouterState:
    """The ports in `add` serve (also if they were draining), those in `gone` are forgotten, the rest stays."""
    old = state.pool(pool.slug)
    rest = [e for e in (old.endpoints if old else ()) if e.port not in add and e.port not in gone]
    ends = sorted([*rest, *(Endpoint(port=p) for p in add)], key=lambda e: e.port)
    return _with_pool(state, pool.model_copy(update={"endpoints": tuple(ends)}))


def with_draining(state: RouterState, slug: Slug, ports: Collection[int]) -> RouterState:
    pool = state.pool(slug)
    if pool is None:
        return state
    ends = tuple(e.model_copy(update={"draining": True}) if e.port in ports else e for e in pool.endpoints)
    return _with_pool(state, pool.model_copy(update={"endpoints": ends}))


def without_instances(state: RouterState, slug: Slug, ports: Collection[int], names: Collection[str]) -> RouterState:
    """Forget some instances of a release; `names` may not be adopted by anybody from here on."""
    pool = state.pool(slug)
    doomed = tuple(sorted({*state.doomed, *names}))
    if pool is None:
        return state.model_copy(update={"doomed": doomed})
    ends = tuple(e for e in pool.endpoints if e.port not in ports)
    kept = _with_pool(state, pool.model_copy(update={"endpoints": ends}))
    return kept.model_copy(update={"doomed": doomed})


def without_release(state: RouterState, slug: Slug, names: Collection[str]) -> RouterState:
    """Forget a release of weight 0, and every spill-over that involves it."""
    if state.routes.weights.get(slug, 0):
        raise ValueError(f"{slug} has weight")
    spill = {a: b for a, b in state.spill.items() if slug not in (a, b)}
    routes = state.routes.model_copy(
        update={
            "aimed": tuple(s for s in state.routes.aimed if s != slug),
            "spilled": tuple(s for s in state.routes.spilled if s in spill),
        }
    )
    return RouterState(
        pools=tuple(p for p in state.pools if p.slug != slug),
        spill=spill,
        catch=tuple(s for s in state.catch if s != slug),
        doomed=tuple(sorted({*state.doomed, *names})),
        routes=routes,
    )


def shifted(state: RouterState, weights: Mapping[Slug, int], spill_to: Slug | None = None) -> RouterState:
    """Users' requests by weight; the unproven releases among them spill over to `spill_to`."""
    carried = {s: w for s, w in weights.items() if w}
    spilled = tuple(sorted(s for s in carried if s != spill_to)) if spill_to else ()
    routes = Routes(
        mode=Mode.SERVE, weights=carried, spilled=spilled, aimed=state.routes.aimed, hold_s=state.routes.hold_s
    )
    spill = {**state.spill, **dict.fromkeys(spilled, spill_to)} if spill_to else dict(state.spill)
    return RouterState(pools=state.pools, spill=spill, catch=tuple(sorted(carried)), doomed=state.doomed, routes=routes)


def held(state: RouterState) -> RouterState:
    """Requests wait, as long as the longest of the releases that served allows. A hold is not prolonged: asked for
    again it stays what it has become meanwhile."""
    if state.routes.mode is not Mode.SERVE:
        return state
    hold_s = max(p.hold_s for p in state.pools if p.slug in state.routes.weights)
    if hold_s <= 0:
        return maintained(state)
    routes = Routes(mode=Mode.HOLD, aimed=state.routes.aimed, hold_s=hold_s)
    return state.model_copy(update={"routes": routes, "catch": ()})


def maintained(state: RouterState) -> RouterState:
    routes = Routes(mode=Mode.MAINTENANCE, aimed=state.routes.aimed, hold_s=state.routes.hold_s)
    return state.model_copy(update={"routes": routes, "catch": ()})


def returned(state: RouterState, weights: Mapping[Slug, int]) -> RouterState:
    """Where the dead-man timer goes: the same instances, other routes, plain clusters."""
    return shifted(state, weights) if weights else maintained(state)


def phases(old: RouterState, new: RouterState) -> tuple[RouterState, ...]:
    """The states to put into force one after the other: first what is added, then the routes, then what is dropped."""
    pools = {p.slug: p for p in old.pools} | {p.slug: p for p in new.pools}
    # Who catches held requests is told before the routes where somebody is held; else it is not worth a phase.
    held_now = Mode.HOLD in (old.routes.mode, new.routes.mode)
    both = {
        "pools": tuple(pools[s] for s in sorted(pools)),
        "spill": {**old.spill, **new.spill},
        "catch": new.catch if held_now else tuple(s for s in old.catch if s in pools),
        "doomed": new.doomed,
    }
    grown = old.model_copy(update=both)
    routed = grown.model_copy(update={"routes": new.routes, "catch": new.catch})
    steps: list[RouterState] = []
    for state in (grown, routed, new):
        if state != (steps[-1] if steps else old):
            steps.append(state)
    return tuple(steps)


def refusal(state: RouterState, weights: Mapping[Slug, int], ready: Mapping[Slug, int]) -> str | None:
    """Why these weights cannot be put into force, or None. `ready`: instances per release as the router sees them."""
    if any(w < 0 for w in weights.values()) or sum(weights.values()) != 100:
        return f"the weights add up to {sum(weights.values())}, not to 100"
    for slug, weight in weights.items():
        if not weight:
            continue
        pool = state.pool(slug)
        if pool is None or not pool.serving:
            return f"{slug} has no instance in the router"
        if not ready.get(slug):
            return f"no instance of {slug} is ready"
    return None


def _with_pool(state: RouterState, pool: Pool) -> RouterState:
    pools = {p.slug: p for p in state.pools} | {pool.slug: pool}
    aimed = tuple(sorted({*state.routes.aimed, pool.slug}))
    return RouterState(
        pools=tuple(pools[s] for s in sorted(pools)),
        spill=state.spill,
        catch=state.catch,
        doomed=state.doomed,
        routes=state.routes.model_copy(update={"aimed": aimed}),
    )
