"""How many users there are, which decides whether they alone can be waited for."""

import pytest

from soc_deploy_mcp.actions.deploy.baseline import requests_a_second
from soc_deploy_mcp.core.metrics import ArmLabels
from soc_deploy_mcp.tools.metrics import QUERIES
from tests.tools.metrics.build import OLD, Past

ARM = ArmLabels("envoy_cluster_name", (OLD, f"{OLD}+"))


async def rate(past: Past) -> float | None:
    return await requests_a_second(past.source, QUERIES["envoy"], ARM, past.clock.now)


async def test_the_rate_is_of_the_last_half_minute() -> None:
    past = Past()
    await past.seconds(60, n=1000)
    await past.seconds(30, n=8)
    assert await rate(past) == pytest.approx(8, rel=0.1)


async def test_one_visitor_of_a_release_that_began_just_now_is_no_traffic() -> None:
    past = Past()
    await past.seconds(3)
    await past.seconds(1, n=1)
    assert await rate(past) == pytest.approx(1 / 30)


async def test_a_release_that_took_over_just_now_has_the_users_of_its_last_seconds() -> None:
    past = Past()
    await past.seconds(25)
    await past.seconds(6, n=100)
    assert await rate(past) == pytest.approx(100, rel=0.1)


async def test_many_requests_in_a_short_memory_are_a_rate() -> None:
    past = Past()
    await past.seconds(5, n=20)
    assert await rate(past) == pytest.approx(20, rel=0.3)


async def test_without_a_page_of_the_router_nothing_is_known() -> None:
    assert await rate(Past()) is None
