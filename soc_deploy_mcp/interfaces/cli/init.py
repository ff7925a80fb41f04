"""`soc-deploy init`: look at the project, write an annotated soc-deploy.yaml, say what was guessed from what."""

from __future__ import annotations

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
        raise DeployError("E_CONFIG_EXISTS", f"{project / FILE} is there already", "", "soc-deploy init --force")
    found = detect.detect(project, detect.programs(os.environ))
    writing.write(project, FILE, template.render(found))
    guessed = list(_guessed(found))
    if options.json:
        show_json({"file": str(project / FILE), "guessed": [dict(zip(_NAMES, g, strict=True)) for g in guessed]})
        return 0
    print(f"wrote {project / FILE}")
    for name, value, source in guessed:
        print(f"  {name:<8} {value}   ({source})")
    for line in _next(found):
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


def _next(found: Detected) -> list[str]:
    first = [] if found.serve is not None else ["Next: edit soc-deploy.yaml: services.<name>.run"]
    return [*first, "Next: soc-deploy production --action deploy --version v1.0.0"]
