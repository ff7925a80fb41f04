"""What is wrong in a soc-deploy.yaml is said with its key and its line."""

import pytest

from soc_deploy_mcp.core.config import ENVIRONMENTS, Config
from soc_deploy_mcp.core.config.service import DirArtifact, GitArtifact, TarballArtifact
from soc_deploy_mcp.core.errors import DeployError

SHOP = """\
services:
  shop:
    run: [serve, "{port}"]
"""
SECRET = "hunter-number-two"


def spec(more="", environment="prod"):
    return Config.read(SHOP + more).settings("shop", environment).spec


def refused(text):
    with pytest.raises(DeployError) as caught:
        Config.read(text)
    assert caught.value.code == "E_CONFIG"
    assert caught.value.what.startswith("soc-deploy.yaml line ")
    assert SECRET not in f"{caught.value.what}{caught.value.why}{caught.value.try_}"
    return caught.value


def test_one_run_is_enough():
    config = Config.read(SHOP)
    assert config.services == ("shop",)
    for environment in ENVIRONMENTS:
        assert config.settings("shop", environment).spec.run == ("serve", "{port}")


@pytest.mark.parametrize(
    ("more", "line", "key", "says"),
    [
        ("    helth: {path: /}", 4, "services.shop.helth", "Did you mean health?"),
        ("    health: {pth: /}", 4, "services.shop.health.pth", "Did you mean path?"),
        ("    health:\n      path: healthz", 5, "services.shop.health.path", "begins with /"),
        ("    zebra: 1", 4, "services.shop.zebra", "This version has no such key."),
        ("    instances: 51", 4, "services.shop.instances", "less than or equal to 50"),
        ("    instances: two", 4, "services.shop.instances", "a whole number is wanted"),
        ("    instances: true", 4, "services.shop.instances", "a whole number is wanted"),
        ("    instances: 2.5", 4, "services.shop.instances", "a whole number is wanted"),
        ("    drain_s: 30s", 4, "services.shop.drain_s", "a number is wanted"),
        ("    drain_s: 1e999", 4, "services.shop.drain_s", "finite"),
        ("    public: yes", 4, "services.shop.public", "true or false is wanted"),
        ("    prepare: [pip, install]", 4, "services.shop.prepare.0", "a list is wanted"),
        ("    prepare: [[]]", 4, "services.shop.prepare.0", "it is empty"),
        ('    prepare: [[""]]', 4, "services.shop.prepare.0", "the first item is the program"),
        ('    prepare: [[a, "b\\0"]]', 4, "services.shop.prepare.0", "NUL"),
        ("    listen: localhost:80", 4, "services.shop.listen", "such as 127.0.0.1:8080"),
        ("    listen: 127.0.0.300:80", 4, "services.shop.listen", "no IPv4 address"),
        ("    listen: 127.0.0.1:20080", 4, "services.shop.listen", "outside 20000-29999"),
        ("    listen: 127.0.0.1:0", 4, "services.shop.listen", "below 65536"),
        ("    listen: 0.0.0.0:80", 2, "services.shop", "public: true"),
        ("    platform: kubernetes", 4, "services.shop.platform", "takes local only"),
        ("    restart: always", 4, "services.shop.restart", "one of on-failure, never"),
        ("    artifact: {dir: x, git: y}", 4, "services.shop.artifact", "exactly one of git, dir, tarball"),
        ("    artifact: {tarball: x, sha: y}", 4, "services.shop.artifact.sha", "Did you mean sha256?"),
        ("    artifact: {tarball: x, sha256: y}", 4, "services.shop.artifact.sha256", "64 hex digits"),
        (f"    secrets: {{TOKEN: {SECRET}}}", 4, "services.shop.secrets.TOKEN", "never the value"),
        ("    secrets: {TOKEN: file:relative}", 4, "services.shop.secrets.TOKEN", "holds no reference"),
        ("    env: {A-B: x}", 4, "services.shop.env", "cannot name a variable"),
        ('    env: {A: "x\\0"}', 4, "services.shop.env", "A holds a NUL"),
        ("    env: {A: x}\n    secrets: {A: env:A}", 2, "services.shop", "A: in env and in secrets"),
        ("    migrations: [{id: a, classs: data, run: [x]}]", 4, "migrations.0.classs", "Did you mean class?"),
        ("    migrations:\n      - {id: a, run: [x]}\n      - {id: ../b, run: [x]}", 6, "migrations.1.id", "letters"),
        ("    migrations: [{id: a, run: [x]}, {id: a, run: [y]}]", 2, "services.shop", "two have the same id"),
        ("    migrations: [{id: a}]", 4, "services.shop.migrations.0.run", "is required"),
        ("    environments: {live: {}}", 4, "services.shop.environments.live", "one of dev, staging, prod"),
        ("    environments: {prod: 5}", 4, "services.shop.environments.prod", "a mapping of keys"),
        ("    environments: []", 4, "services.shop.environments", "a mapping of keys"),
        (
            "    environments:\n      prod:\n        instances: 0",
            6,
            "services.shop.environments.prod.instances",
            "greater than or equal to 1",
        ),
        ("deploy: {bake: 5}", 4, "deploy.bake", "such as 5s, not 5"),
        ("deploy: {bake: soon}", 4, "deploy.bake", "a duration with a unit"),
        ("deploy: {bke: 5m}", 4, "deploy.bke", "Did you mean bake?"),
        ("deploy: {on_conflict: queue}", 4, "deploy.on_conflict", "takes reject only"),
        ("deploy:\n  canary:\n    steps: [5, 4, 100]", 5, "deploy.canary", "steps must rise"),
        ("deploy: {canary: {steps: [true, 100]}}", 4, "deploy.canary.steps.0", "a whole number"),
        ("deploy: {canary: {min: 20m}}", 4, "deploy.canary", "min is longer than max"),
        ("deploy: {rolling: {max_surge: 0}}", 4, "deploy.rolling", "nothing could ever be replaced"),
        ("deploy:", 4, "deploy", "a mapping of keys"),
        ("environments: {prod: {deploy: 5}}", 4, "environments.prod.deploy", "a mapping of keys"),
        ("environments:\n  prod:\n    deploy:\n      bake: x", 7, "environments.prod.deploy.bake", "a duration"),
        ("environments: {production: {}}", 4, "environments.production", "one of dev, staging, prod"),
        ("environments: {prod: {aliases: [v1.0.0]}}", 4, "environments.prod.aliases", "is no name"),
        ("environments: {prod: {aliases: [status]}}", 4, "environments.prod.aliases", "word of the command line"),
        ("environments: {prod: {aliases: [Shop]}}", 4, "environments.prod.aliases", "the service shop already"),
        (
            "environments:\n  staging: {aliases: [live]}\n  prod: {aliases: [Live]}",
            6,
            "environments.prod.aliases",
            "Live is staging already",
        ),
        ("health_checks: {cpu: {target: 70%}}", 4, "health_checks.cpu", "a target such as"),
        ("health_checks: {error_rate: {target: <200ms}}", 4, "health_checks.error_rate", "<0.1%"),
        ("judge: {synthetic: maybe}", 4, "judge.synthetic", "one of auto, on, off"),
        ("judge: {alpha: nan}", 4, "judge.alpha", "a number is wanted"),
        ("judge: {r0: 3}", 4, "judge", "r0 must be below r_bad"),
        ("judge: {tick: 100ms}", 4, "judge", "below 0.5s"),
        ("judge:\n  checks:\n    - {name: a, bad: x}", 6, "judge.checks.0", "bad and total, or gauge"),
        ("judge: {checks: [{name: a, badd: x}]}", 4, "judge.checks.0.badd", "Did you mean bad?"),
        ("notify: {channels: {team: {kind: slack}}}", 4, "notify.channels.team", "takes webhook only"),
        ("notify: {channels: {team: {kind: webhook, urll: x}}}", 4, "channels.team.urll", "Did you mean url?"),
        (f"notify: {{channels: {{t: {{kind: webhook, url: x, key: {SECRET}}}}}}}", 4, "channels.t.key", "no reference"),
        ("notify: {events: {succeded: []}}", 4, "notify.events", "no event is called succeded"),
        ("notify: {events: {all: [team]}}", 4, "notify", "no channel named team"),
        ("notify: {oncall: team}", 4, "notify", "no channel named team"),
        ("monitor: {runbook: /etc/passwd}", 4, "monitor.runbook", "in the project"),
        ("monitor: {runbook: ../../x}", 4, "monitor.runbook", "in the project"),
        ('monitor: {runbook: "{name}.md"}', 4, "monitor.runbook", "{name} is no placeholder"),
        ("pipeline: {commands: {test: make test}}", 4, "pipeline.commands.test", "a list is wanted"),
        ("governance: yes", 4, "governance", "one of optional, required"),
        ("schema: 2", 4, "schema", "reads schema 1"),
        ("schema: true", 4, "schema", "a whole number"),
        ("servces: {}", 4, "servces", "Did you mean services?"),
    ],
)
def test_a_problem_is_named_with_key_and_line(more, line, key, says):
    error = refused(SHOP + more)
    what = error.what.removeprefix("soc-deploy.yaml ")
    assert what.startswith(f"line {line}: "), error.what
    assert key in what
    assert says in f"{error.what} {error.why}"
    assert error.try_ == f"edit soc-deploy.yaml, line {line}"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "services is required"),
        ("services: {}", 1, "services: it is empty"),
        ("schema: 1\nservices:", 2, "services: a mapping of keys is wanted"),
        ("services:\n  shop:", 2, "services.shop: a mapping of keys is wanted"),
        ("services:\n  shop: {}", 2, "services.shop.run is required"),
        ("services:\n  shop: {run: [serve]}", 2, "run must use {port}"),
        ('services:\n  shop:\n    run: [serve, "{prot}"]', 3, "{prot} is no placeholder"),
        ("services:\n  production: {run: [x]}", 2, "word of the command line"),
        ("services:\n  Status: {run: [x]}", 2, "word of the command line"),
        ("services:\n  a.b: {run: [x]}", 2, "no name"),
        ("services:\n  ähm: {run: [x]}", 2, "no name"),
        ('services:\n  shop: {run: ["{port}"]}\n  Shop: {run: ["{port}"]}', 3, "differ in case only"),
    ],
)
def test_a_problem_of_the_whole_file(text, line, says):
    error = refused(text)
    assert f"line {line}: " in error.what
    assert says in error.what


def test_the_first_problem_of_the_file_is_shown():
    error = refused(SHOP + "    healt: 1\n    instances: 99\ngovernance: x\n")
    assert "line 6" in error.what or "line 4" in error.what


def test_each_kind_of_artifact():
    assert spec().artifact == GitArtifact(git=".", ref="{version}")
    assert spec("    artifact: {ref: main}").artifact == GitArtifact(ref="main")
    assert spec("    artifact: {dir: site}").artifact == DirArtifact(dir="site")
    assert spec("    artifact: {tarball: a.tgz}").artifact == TarballArtifact(tarball="a.tgz")


def test_values_of_env_are_taken_as_they_are_written():
    seen = spec("    env: {PY: 3.10, ID: 007, DEBUG: true, N: 5, X: 1e3, T: 16:00, WORD: off, EMPTY: ''}")
    assert seen.env == {
        "PY": "3.10",
        "ID": "007",
        "DEBUG": "true",
        "N": "5",
        "X": "1e3",
        "T": "16:00",
        "WORD": "off",
        "EMPTY": "",
    }
    over = spec("    env: {PY: '1'}\n    environments: {prod: {env: {PY: 3.20}}}")
    assert over.env == {"PY": "3.20"}


def test_the_digest_of_a_spec_survives_the_journal():
    one = spec("    artifact: {dir: site}\n    migrations: [{id: a, class: data, run: [x]}]\n    resources: {cpus: 2}")
    assert type(one).model_validate(one.model_dump(mode="json")) == one
    settings = Config.read(SHOP).settings("shop", "dev")
    assert type(settings).model_validate(settings.model_dump(mode="json")) == settings


def test_a_service_without_smoke_is_asked_for_health():
    [smoke] = spec("    health: {path: /up, expect: 204}").smoke_list
    assert (smoke.path, smoke.status) == ("/up", 204)
    assert spec("    listen: 127.0.0.1:81").address == ("127.0.0.1", 81)
