"""Four levels of settings: later ones win, key by key."""

import re

import pytest

from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.config.project import merge
from soc_deploy_mcp.core.errors import DeployError

FOUR = """\
deploy: {bake: 101s, confirm_probes: 1, canary: {min: 11s}}
environments:
  prod: {deploy: {bake: 102s, confirm_probes: 2}}
services:
  shop:
    run: [a, "{port}"]
    deploy: {bake: 103s}
    environments:
      prod: {deploy: {bake: 104s}}
      dev: {instances: 1, health: {path: /dev}, prepare: [[b]]}
    health: {path: /all, passes: 3}
    prepare: [[a], [c]]
  cart:
    run: [a, "{port}"]
"""


def deploy(text, service="shop", environment="prod"):
    return Config.read(text).settings(service, environment).deploy


def without(*settings):
    """FOUR without the settings of these values."""
    text = FOUR
    for value in settings:
        text = re.sub(rf"bake: {value},? ?", "", text)
    return text


def test_the_nearest_level_wins():
    assert deploy(FOUR).bake == 104
    assert deploy(without("104s")).bake == 103
    assert deploy(without("104s", "103s")).bake == 102
    assert deploy(without("104s", "103s", "102s")).bake == 101
    assert deploy(without("104s", "103s", "102s", "101s")).bake == 300


def test_levels_are_merged_key_by_key():
    seen = deploy(FOUR)
    assert (seen.confirm_probes, seen.canary.min, seen.canary.max) == (2, 11, 900)
    assert deploy(FOUR, "cart").bake == 102
    assert deploy(FOUR, "cart", "staging").bake == 101
    assert deploy(FOUR, "cart", "staging").confirm_probes == 1


def test_a_service_may_differ_on_one_environment():
    config = Config.read(FOUR)
    dev, prod = config.settings("shop", "dev").spec, config.settings("shop", "prod").spec
    assert (dev.instances, dev.health.path, dev.health.passes, dev.prepare) == (1, "/dev", 3, (("b",),))
    assert (prod.instances, prod.health.path, prod.prepare) == (2, "/all", (("a",), ("c",)))


@pytest.mark.parametrize(
    ("environment", "verify", "window", "bake", "least", "pause"),
    [
        ("dev", 10, 60, 15, 10, False),
        ("staging", 60, 300, 60, 30, False),
        ("prod", 120, 300, 300, 60, True),
    ],
)
def test_the_built_in_windows_of_each_environment(environment, verify, window, bake, least, pause):
    seen = deploy('services: {shop: {run: ["{port}"]}}', environment=environment)
    assert (seen.verify_window, seen.rollback_window, seen.bake, seen.canary.min) == (verify, window, bake, least)
    assert seen.rolling.pause_after_first is pause


def test_a_pair_of_settings_may_stand_on_two_levels():
    """Each half alone would be against the other's default."""
    text = "deploy: {verify_window: 400s}\nservices: {shop: {run: ['{port}'], deploy: {rollback_window: 500s}}}"
    assert deploy(text).rollback_window == 500
    with pytest.raises(DeployError, match="rollback_window is shorter"):
        deploy(text.replace("500s", "399s"))


def test_a_clash_of_two_levels_is_shown_where_the_last_one_stands():
    text = "deploy: {verify_window: 400s, rollback_window: 500s}\nservices:\n  shop:\n    run: ['{port}']\n"
    with pytest.raises(DeployError, match=r"line 5: services\.shop\.deploy"):
        deploy(text + "    deploy: {verify_window: 501s}")


def test_an_artifact_of_another_kind_replaces_the_whole():
    text = "services: {shop: {run: ['{port}'], artifact: {git: x, ref: y}, environments: {dev: {artifact: {dir: z}}}}}"
    config = Config.read(text)
    assert config.settings("shop", "dev").spec.artifact.dir == "z"
    assert config.settings("shop", "prod").spec.artifact.ref == "y"


def test_merging_does_not_change_what_is_merged():
    base, over = {"a": {"b": 1}, "c": [1]}, {"a": {"d": 2}, "c": [2]}
    assert merge(base, over) == {"a": {"b": 1, "d": 2}, "c": [2]}
    assert (base, over) == ({"a": {"b": 1}, "c": [1]}, {"a": {"d": 2}, "c": [2]})
    Config.read(FOUR)
    assert deploy('services: {shop: {run: ["{port}"]}}', environment="dev").bake == 15


def test_aliases_of_environments_are_in_lower_case():
    text = FOUR.replace("prod: {deploy: {bake: 102s", "prod: {aliases: [Live, www], deploy: {bake: 102s")
    assert Config.read(text).aliases == {"live": "prod", "www": "prod"}
