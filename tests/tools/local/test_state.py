"""The pure steps of the router's state, and that no order of them ever leaves users without an answer."""

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import ValidationError

from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.tools.local import envoy
from soc_deploy_mcp.tools.local.state import (
    Mode,
    RouterState,
    Routes,
    held,
    maintained,
    phases,
    pool_for,
    refusal,
    returned,
    shifted,
    with_draining,
    with_instances,
    without_instances,
    without_release,
)
from tests.tools.local.builders import NEW, OLD, TOKEN, XDS, serving, spec

# --- single steps


def test_weights_that_do_not_add_up_cannot_be_made() -> None:
    for weights in ({OLD: 99}, {OLD: 120, NEW: -20}, {}):
        with pytest.raises(ValidationError):
            Routes(mode=Mode.SERVE, weights=weights)


def test_a_state_names_only_releases_it_has() -> None:
    with pytest.raises(ValidationError, match="no such release"):
        shifted(RouterState(), {OLD: 100})


def test_a_release_of_weight_zero_is_left_out_of_the_routes() -> None:
    assert shifted(serving(), {OLD: 100, NEW: 0}).routes.weights == {OLD: 100}


def test_the_proven_release_spills_nowhere_and_the_others_to_it() -> None:
    state = serving(spill=True)
    assert (state.routes.spilled, state.spill) == ((NEW,), {NEW: OLD})
    proven = shifted(state, {NEW: 100})
    assert proven.routes.spilled == ()
    assert proven.spill == {NEW: OLD}  # running requests may still retry there


def test_draining_instances_stay_known_and_serve_nobody_new() -> None:
    pool = with_draining(serving(), OLD, [21001]).pool(OLD)
    assert pool is not None
    assert (pool.ports, pool.serving) == ((21001, 21003), (21003,))


def test_an_instance_that_is_wanted_again_drains_no_more() -> None:
    state = with_draining(serving(), OLD, [21001, 21003])
    again = with_instances(state, pool_for(OLD, "v1.0.0", spec()), [21001])
    pool = again.pool(OLD)
    assert pool is not None
    assert pool.serving == (21001,)


def test_a_release_with_weight_is_not_forgotten() -> None:
    with pytest.raises(ValueError, match="weight"):
        without_release(serving(), NEW, [])


def test_forgetting_a_release_takes_its_spill_over_along() -> None:
    state = shifted(serving(spill=True), {OLD: 100})
    assert without_release(state, NEW, ["x"]).spill == {}
    other = shifted(serving(spill=True), {NEW: 100})
    left = without_release(other, OLD, [])
    assert (left.slugs, left.spill, left.routes.aimed) == ((NEW,), {}, (NEW,))


def test_a_hold_is_not_prolonged_by_asking_again() -> None:
    holding = held(serving())
    assert holding.routes.mode is Mode.HOLD
    assert held(maintained(holding)) == maintained(holding)


def test_the_longest_hold_of_those_that_served_counts() -> None:
    state = with_instances(RouterState(), pool_for(OLD, "v1", spec(hold_s=3)), [1])
    state = with_instances(state, pool_for(NEW, "v2", spec(hold_s=7)), [2])
    assert held(shifted(state, {OLD: 100})).routes.hold_s == 3
    assert held(shifted(state, {OLD: 50, NEW: 50})).routes.hold_s == 7


def test_a_refusal_says_what_is_wrong() -> None:
    state, ready = serving(), {OLD: 2, NEW: 0}
    assert refusal(state, {OLD: 100}, ready) is None
    assert refusal(state, {OLD: 100, NEW: 0}, ready) is None
    assert "120" in (refusal(state, {OLD: 120}, ready) or "")
    assert "no instance of" in (refusal(state, {OLD: 50, NEW: 50}, ready) or "")
    assert "has no instance" in (refusal(state, {Slug("v9-0"): 100}, ready) or "")
    assert "has no instance" in (refusal(with_draining(state, OLD, [21001, 21003]), {OLD: 100}, ready) or "")


def test_a_shift_to_a_new_spill_over_makes_the_cluster_before_the_route() -> None:
    grown, routed = phases(shifted(serving(), {OLD: 100}), shifted(serving(), {OLD: 95, NEW: 5}, OLD))
    assert grown.spill == {NEW: OLD}
    assert grown.routes.weights == {OLD: 100}
    assert routed.routes.weights == {OLD: 95, NEW: 5}


def test_a_release_leaves_the_routes_before_the_clusters() -> None:
    old = shifted(serving(), {OLD: 100})
    routed, done = phases(old, without_release(old, NEW, []))
    assert (routed.routes.aimed, routed.slugs) == ((OLD,), (OLD, NEW))
    assert done.slugs == (OLD,)


def test_a_switch_is_one_write() -> None:
    """The way back waits for nothing: not for a phase before it either."""
    new = shifted(serving(), {NEW: 100})
    assert phases(shifted(serving(), {OLD: 100}), new) == (new,)


def test_held_requests_find_their_instances_before_the_routes_change() -> None:
    held_up = held(serving())
    caught, routed = phases(held_up, shifted(held_up, {NEW: 100}))
    assert (caught.routes.mode, caught.catch) == (Mode.HOLD, (NEW,))
    assert routed.routes.weights == {NEW: 100}


def test_nothing_to_change_takes_no_phase() -> None:
    assert phases(serving(), serving()) == ()


# --- every order of steps


SLUGS = [Slug(f"v{n}_0_0-{n:08x}") for n in range(4)]


def clusters_of(files: envoy.Files) -> set[str]:
    return {cluster["name"] for cluster in json.loads(files[envoy.CLUSTERS])["resources"]}


def routed_clusters(files: envoy.Files) -> set[str]:
    """Every cluster that a route names."""
    (configuration,) = json.loads(files[envoy.ROUTES])["resources"]
    found: set[str] = set()
    for route in configuration["virtual_hosts"][0]["routes"]:
        action: dict[str, Any] = route.get("route", {})
        found |= {c["name"] for c in action.get("weighted_clusters", {}).get("clusters", [])}
        found |= {action["cluster"]} if "cluster" in action else set()
    return found


def members(files: envoy.Files) -> set[str]:
    """Clusters an aggregate stands on."""
    aggregates = (c["cluster_type"] for c in json.loads(files[envoy.CLUSTERS])["resources"] if "cluster_type" in c)
    return {name for kind in aggregates for name in kind["typed_config"]["clusters"]}


class Walk(RuleBasedStateMachine):
    """Draws steps as owners do, each put into force by its phases, and the guard's timer between any two."""

    @initialize()
    def begin(self) -> None:
        self.state = RouterState()
        self.next_port = 20000
        self.fallback: dict[Slug, int] = {}
        self.files = self.render(self.state)

    def render(self, state: RouterState) -> envoy.Files:
        return envoy.render(state, version="1.1", token=TOKEN, xds=XDS)

    def put(self, new: RouterState) -> None:
        for phase in phases(self.state, new):
            files = self.render(phase)
            assert files == self.render(RouterState.from_json(json.loads(json.dumps(phase.to_json()))))
            # While Envoy has the new clusters and still the old routes, and with the new routes: nothing is missing.
            assert routed_clusters(self.files) <= clusters_of(files)
            assert routed_clusters(files) <= clusters_of(files)
            assert members(files) <= clusters_of(files)
            assert {envoy.eds_file(s) for s in (*phase.slugs, envoy.HOLD)} <= files.keys()
            self.files, last = files, phase
        assert self.state == new or last == new
        assert phases(new, new) == ()
        self.state = new

    def serving(self) -> list[Slug]:
        return [p.slug for p in self.state.pools if p.serving]

    def idle(self) -> list[Slug]:
        kept = {*self.state.routes.weights, *self.fallback}
        return [s for s in self.state.slugs if s not in kept]

    @rule(slug=st.sampled_from(SLUGS), count=st.integers(1, 3), again=st.booleans())
    def start(self, slug: Slug, count: int, again: bool) -> None:
        pool = self.state.pool(slug)
        ports = list(pool.ports) if pool and again else []
        ports += range(self.next_port, self.next_port + count)
        self.next_port += count
        new = with_instances(self.state, pool_for(slug, "v", spec()), ports)
        assert with_instances(new, pool_for(slug, "v", spec()), ports) == new
        self.put(new)

    @precondition(lambda self: self.idle())
    @rule(data=st.data())
    def drain(self, data: st.DataObject) -> None:
        slug = data.draw(st.sampled_from(self.idle()))
        pool = self.state.pool(slug)
        assert pool is not None
        new = with_draining(self.state, slug, pool.ports)
        assert with_draining(new, slug, pool.ports) == new
        self.put(new)

    @precondition(lambda self: any(len(p.serving) > 1 for p in self.state.pools))
    @rule(data=st.data())
    def scale_down(self, data: st.DataObject) -> None:
        pool = data.draw(st.sampled_from([p for p in self.state.pools if len(p.serving) > 1]))
        port, name = pool.serving[-1], f"{pool.slug}-{pool.serving[-1]}"
        self.put(with_draining(self.state, pool.slug, [port]))
        new = without_instances(self.state, pool.slug, [port], [name])
        assert without_instances(new, pool.slug, [port], [name]) == new
        self.put(new)

    @precondition(lambda self: self.idle())
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        slug = data.draw(st.sampled_from(self.idle()))
        new = without_release(self.state, slug, [])
        assert without_release(new, slug, []) == new
        assert slug not in json.dumps(self.render(new))
        self.put(new)

    @precondition(lambda self: self.serving())
    @rule(data=st.data(), armed=st.booleans(), spill=st.booleans(), share=st.integers(0, 100))
    def shift(self, data: st.DataObject, armed: bool, spill: bool, share: int) -> None:
        one = data.draw(st.sampled_from(self.serving()))
        two = data.draw(st.sampled_from(self.serving()))
        weights = {one: 100} if one == two else {one: share, two: 100 - share}
        new = shifted(self.state, weights, two if spill else None)
        assert shifted(new, weights, two if spill else None) == new
        self.fallback = {two: 100} if armed else {}
        self.put(new)

    @rule()
    def hold(self) -> None:
        self.fallback = {}
        self.put(held(self.state))

    @precondition(lambda self: self.state.routes.mode is Mode.HOLD)
    @rule()
    def the_hold_is_over(self) -> None:
        self.fire(maintained(self.state))

    @precondition(lambda self: self.fallback)
    @rule()
    def the_dead_man_timer_fires(self) -> None:
        weights, self.fallback = self.fallback, {}
        self.fire(returned(self.state, weights))

    def fire(self, state: RouterState) -> None:
        """The guard writes the routes alone, whatever else it has."""
        self.files = self.files | {envoy.ROUTES: self.render(state)[envoy.ROUTES]}
        assert routed_clusters(self.files) <= clusters_of(self.files)
        self.state = state
        self.files = self.render(state)

    @invariant()
    def requests_go_somewhere(self) -> None:
        routes = self.state.routes
        if routes.mode is Mode.SERVE:
            assert sum(routes.weights.values()) == 100
            for slug in routes.weights:
                pool = self.state.pool(slug)
                assert pool is not None
                assert pool.serving, f"{slug} has weight and nobody to serve it"
        else:
            assert not routes.weights

    @invariant()
    def no_port_is_used_twice(self) -> None:
        ports = [port for pool in self.state.pools for port in pool.ports]
        assert len(ports) == len(set(ports))


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
