"""`soc-deploy init`: look at the project, write an annotated soc-deploy.yaml, say what was guessed from what."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soc_deploy_mcp.interfaces.cli.arguments import Arguments
from soc_deploy_mcp.interfaces.cli.options import Options
from soc_deploy_mcp.interfaces.cli.output import say, show_json

if TYPE_CHECKING:
    from soc_deploy_mcp.tools.project.detect import Detected


def run(words: Sequence[str], options: Options) -> int:
    from soc_deploy_mcp.core.config.project import FILE
    from soc_deploy_mcp.core.errors import DeployError
    from soc_deploy_mcp.tools.project import detect, root, template, writing

    arguments = Arguments("init", "init [--force]")
    arguments.add_argument("--force", action="store_true")
    asked = arguments.read(words)
    project = root.find_root(Path.cwd(), os.environ)
    if (project / FILE).exists() and not asked.force:
        why = "--force writes it anew: what was changed in it by hand is lost"
        raise DeployError("E_CONFIG_EXISTS", f"{project / FILE} is there already", why, "soc-deploy init --force")
    found = detect.detect(project, detect.programs(os.environ))
    writing.write(project, FILE, template.render(found))
    guessed = list(_guessed(found))
    if options.json:
        show_json({"file": str(project / FILE), "guessed": [dict(zip(_NAMES, g, strict=True)) for g in guessed]})
        return 0
    print(f"wrote {project / FILE}")
    for name, value, source in guessed:
        print(f"  {name:<8} {value}   ({source})")
    for line in _next(found, _latest(project) if found.repository else None):
        say(line)
    return 0


_NAMES = ("what", "value", "from")


def _guessed(found: Detected) -> list[tuple[str, str, str]]:
    """(what, value, which file says so)."""
    rows = [("service", found.service.value, found.service.source or "the folder's name")]
    if found.serve is not None:
        rows.append(("run", " ".join(found.serve.value.argv), found.serve.source))
    else:
        rows.append(("run", "not found: write it into the file", "nothing says how the service is started"))
    rows.append(("health", found.health.value, found.health.source or "nothing says it: a usual default"))
    if found.suite is not None:
        rows.append(("tests", " ".join(found.suite.argv), found.suite.source))
    else:
        rows.append(("tests", "not found", "a deploy will ask for them, or for --skip-tests"))
    return rows


def _latest(project: Path) -> str | None:
    """The newest tag that is a version; None without one, or without git."""
    from soc_deploy_mcp.core.errors import DeployError
    from soc_deploy_mcp.tools.git import Reader

    try:
        tags = asyncio.run(Reader(project, os.environ).tags())
    except DeployError:
        return None
    return tags[0].version if tags else None


def _next(found: Detected, latest: str | None) -> list[str]:
    """What to type now, in order."""
    steps = [] if found.serve is not None else ["edit soc-deploy.yaml: services.<name>.run"]
    if not found.repository:
        steps.append("git init, a commit and soc-deploy init --force: only a tag can be deployed again, and tested")
    elif latest is None:
        steps.append("git add soc-deploy.yaml && git commit -m soc-deploy && git tag v1.0.0")
    version = latest or "v1.0.0"
    if found.suite is None:
        steps.append("say how it is tested (pipeline.commands.test): staging and production ask for it")
    steps.append(f"soc-deploy dev --action deploy --version {version}")
    steps.append(f"soc-deploy production --action deploy --version {version} --dry-run")
    return [f"{'     ' if number else 'Next:'} {step}" for number, step in enumerate(steps)]
