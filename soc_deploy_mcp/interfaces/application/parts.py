"""What the application is made of. Built by app.py, the only file that knows how."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.evidence import Evidence
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.engine.approvals import Approvals
from soc_deploy_mcp.engine.clock import Clock
from soc_deploy_mcp.engine.history import History
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.runner import Runner
from soc_deploy_mcp.tools.local import LocalPlatform
from soc_deploy_mcp.tools.secrets import Secrets


@dataclass
class Parts:
    home: Path
    journal: Journal
    runner: Runner
    runs: History
    approvals: Approvals
    platform: LocalPlatform
    secrets: Secrets
    redactor: Redactor
    clock: Clock
    environ: Mapping[str, str]
    new_id: Callable[[], str]
    config: Callable[[str], tuple[Config, str]]  # project root -> its configuration and the digest of its text
    watched: Callable[[Target], AbstractAsyncContextManager[None]]  # scrape a target often while inside
    run_tests: Callable[[Plan, Config], Awaitable[Sequence[Evidence]]]
    boards: dict[str, dict[str, Any]] = field(default_factory=dict)  # run -> the moment, for the live view
