"""A first soc-deploy.yaml: what was guessed, from which file, and what each key does."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from soc_deploy_mcp.core.config import Config, ServiceSpec
from soc_deploy_mcp.tools.project.detect import Detected
from soc_deploy_mcp.tools.project.guess import Argv, Guess, Served

_WIDTH = 110  # a longer list is written one item a line

_HEAD = """\
# How soc-deploy releases this project. Written by `soc-deploy init`: look at the lines with a guess, then commit it.
# Only `services` is required; every key and its default stands in docs/configuration.md of soc-deploy.
schema: 1

services:
"""
_TAIL = """\

# deploy:                           # how a rollout behaves; also under environments.<env> or a service
#   auto_rollback: true             # go back without asking when a release turns out to be bad
#   canary: {steps: [5, 25, 50, 100], min: 1m, max: 15m}

# health_checks:                    # targets of the report's Health Checks table
#   response_time: {target: "<200ms"}
#   error_rate: {target: "<0.1%"}

# judge:                            # where users are few it asks by itself, and sees only what it asks for
#   synthetic_paths: ["/items"]     # GET; without any: the health path and /

# notify:                           # who is told; url and key are references: env:NAME or file:/path
#   channels: {team: {kind: webhook, url: env:SOC_DEPLOY_HOOK, label: "#deployments"}}
#   events: {all: [team]}
#   oncall: team
"""


def render(found: Detected) -> str:
    """The text of the file; `Config.read` takes it. Where `run` could not be guessed, a line says what to write."""
    text = _HEAD + "\n".join(_service(found)) + "\n" + "\n".join(_pipeline(found)) + _TAIL
    Config.read(text)
    return text


def _service(found: Detected) -> Iterator[str]:
    yield f"  {found.service.value}:{_from(found.service)}"
    if found.repository:
        yield '    artifact: {git: ., ref: "{version}"}  # the tag of the version, from this repository'
    else:
        yield "    artifact: {dir: .}              # this directory as it is: no git repository has it"
    if found.prepare:
        yield "    prepare:                        # run once in the release's own directory, before it is sealed"
        for argv in found.prepare:
            yield f"      - {_list(argv)}"
    if found.serve is None or not _usable(found.serve.value):
        yield "    # Nothing in the repository says how the service is started: write it here, {port} is filled in."
        yield '    run: ["./start", "--port", "{port}"]'
    else:
        yield from _run(found.serve.value.argv, _from(found.serve))
        if found.serve.value.reads_port_env:
            yield "    reads_port_env: true            # the port comes in the variable PORT"
    yield '    listen: "127.0.0.1:8080"        # where users come in; the instances stand behind it'
    yield "    instances: 2"
    yield f"    health: {{path: {json.dumps(found.health.value)}}}{_from(found.health)}"
    yield '    # secrets: {DATABASE_URL: "file:/run/secrets/db"}  # references only; the file has mode 0600'
    yield "    environments:                   # any key of the service may differ; each one needs a port of its own"
    yield '      dev: {listen: "127.0.0.1:8081"}'
    yield '      staging: {listen: "127.0.0.1:8082"}'
    yield "      prod: {instances: 3}"


def _run(argv: Argv, comment: str) -> Iterator[str]:
    line = f"    run: {_list(argv)}{comment}"
    if len(line) <= _WIDTH:
        yield line
        return
    if comment:
        yield f"    {comment.strip()}"
    yield "    run:"
    yield from (f"      - {_text(word)}" for word in argv)


def _pipeline(found: Detected) -> Iterator[str]:
    yield ""
    if found.suite is None:
        yield "# pipeline:                         # no tests were found; a deploy asks for them"
        yield '#   commands: {test: ["make", "test"]}'
        return
    yield "# pipeline:                         # the tests that a deploy runs; found as below while this is not said"
    yield f"#   commands: {{test: {_list(found.suite.argv)}}}  # from {_one_line(found.suite.source)}"


def _usable(served: Served) -> bool:
    """A command with braces of its own (`{name}`) would not be taken."""
    try:
        ServiceSpec(run=served.argv, reads_port_env=served.reads_port_env)
    except ValidationError:
        return False
    return True


def _list(argv: Argv) -> str:
    """A flow sequence."""
    return f"[{', '.join(map(_text, argv))}]"


def _text(word: str) -> str:
    """JSON is YAML, except that YAML knows more line breaks: what cannot be printed is escaped."""
    return json.dumps(word, ensure_ascii=not word.isprintable())


def _from(guess: Guess[Any]) -> str:
    if guess.source:
        return f"  # guessed from {_one_line(guess.source)}" + (f": {_one_line(guess.why)}" if guess.why else "")
    return f"  # {_one_line(guess.why)}" if guess.why else ""


def _one_line(text: str) -> str:
    """Text of the repository is data: it must not end the comment it stands in."""
    return "".join(c if c.isprintable() else " " for c in text)[:60]
