"""Where the project is, and its soc-deploy.yaml."""

from collections.abc import Mapping
from pathlib import Path

from soc_deploy_mcp.core.config.project import FILE
from soc_deploy_mcp.core.errors import DeployError

MAX_BYTES = 1_000_000


def find_root(cwd: Path, environ: Mapping[str, str]) -> Path:
    """CLAUDE_PROJECT_DIR, else the nearest directory upwards with a soc-deploy.yaml or a repository, else `cwd`.

    Absolute, links resolved. The nearest wins: a service in a larger repository may have its own file.
    """
    if (named := environ.get("CLAUDE_PROJECT_DIR")) and Path(named).is_dir():
        return Path(named).resolve()
    cwd = cwd.resolve()
    return next((d for d in (cwd, *cwd.parents) if (d / FILE).is_file() or (d / ".git").exists()), cwd)


def read_text(root: Path) -> str:
    """soc-deploy.yaml as it stands, for its digest and for messages. E_CONFIG_MISSING, E_CONFIG."""
    path = root / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        why = "It says how the service is started and where."
        raise DeployError("E_CONFIG_MISSING", f"There is no {FILE} in {root}.", why, "soc-deploy init") from None
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise DeployError("E_CONFIG", f"{path}: {why}.", "", f"ls -l {path}") from None
    if len(data) > MAX_BYTES:
        raise DeployError("E_CONFIG", f"{path} is larger than {MAX_BYTES:,} bytes.", "", f"edit {FILE}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DeployError("E_CONFIG", f"{FILE} line {line}: not UTF-8 text.", "", f"edit {FILE}, line {line}") from None
