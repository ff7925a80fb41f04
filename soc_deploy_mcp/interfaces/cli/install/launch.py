"""How a client starts our server. Clients do not know the virtual environment that we live in."""

from __future__ import annotations

import os
import shutil
from typing import NamedTuple

from soc_deploy_mcp.interfaces.cli.install.clients import Scope

SCRIPT = "soc-deploy"


class Launch(NamedTuple):
    argv: tuple[str, ...]  # without the word `serve`
    note: str = ""  # what may keep it from working elsewhere


class Here(NamedTuple):
    """This process, as far as it matters."""

    script: str  # sys.argv[0]
    interpreter: str  # sys.executable
    path: str  # PATH
    venv: str = ""  # VIRTUAL_ENV


def launch(scope: Scope, here: Here, chosen: str = "") -> Launch:
    """Files of a project are committed: the plain name, where it leads here. A user's own: an absolute path."""
    if chosen:
        return Launch((chosen,), _doubt(chosen, here))
    script = _script(here)
    if scope == "project" and script and _leads_to(script, here.path):
        return Launch((SCRIPT,), _bound_to_venv(script, here))
    # `-P`: without it the working directory, a user's project, comes first, and its json.py would be executed
    argv = (script,) if script else (here.interpreter, "-P", "-m", "soc_deploy_mcp")
    return Launch(argv, _FOR_ONE.format(argv[0]) if scope == "project" else "")


def _script(here: Here) -> str:
    """The console script of this installation: the one that runs, else the one beside the interpreter."""
    beside = os.path.join(os.path.dirname(here.interpreter), SCRIPT)
    running = os.path.abspath(here.script) if os.path.basename(here.script) == SCRIPT else beside
    return next((path for path in (running, beside) if _executable(path)), "")


def _leads_to(script: str, path: str) -> bool:
    found = shutil.which(SCRIPT, path=path)
    return found is not None and os.path.realpath(found) == os.path.realpath(script)


def _bound_to_venv(script: str, here: Here) -> str:
    inside = here.venv and os.path.realpath(script).startswith(os.path.realpath(here.venv) + os.sep)
    return _VENV.format(here.venv) if inside else ""


def _doubt(chosen: str, here: Here) -> str:
    found = _executable(chosen) if os.sep in chosen else shutil.which(chosen, path=here.path) is not None
    return "" if found else f"{chosen} is no program on this machine."


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


_FOR_ONE = (
    "The server is started as {}, which exists on this machine only: do not commit that, or put soc-deploy on PATH "
    "(pipx install soc-deploy-mcp) and install again."
)
_VENV = "soc-deploy is found while {} is active: start the client there, or use --scope user."
