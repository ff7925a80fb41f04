"""What is said about an application that does not become ready: what to change depends on what was seen."""

from pathlib import Path

import pytest

from soc_deploy_mcp.core.config.service import Health
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.tools.local import readiness
from tests.tools.local.builders import instance

HEALTH = Health(path="/up", start_timeout_s=0.1)


async def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, output: str = "") -> DeployError:
    waited = instance(directory=tmp_path)
    (tmp_path / "out.log").write_text(output)

    async def problem(port: int, health: Health) -> str:
        return last

    monkeypatch.setattr(readiness, "_problem", problem)
    monkeypatch.setattr("soc_deploy_mcp.tools.local.instances.read", lambda directory: waited)
    with pytest.raises(DeployError) as found:
        await readiness.wait_ready(waited, HEALTH, fresh=True)
    assert found.value.code == "E_START_TIMEOUT"
    return found.value


@pytest.mark.parametrize(
    ("last", "advice"),
    [
        ("connection refused", "PORT with reads_port_env: true"),
        ("status 404", "make /up answer 200"),
        ("no answer in 1 s", "raise health.timeout_s"),
    ],
)
async def test_the_advice_fits_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, advice: str
) -> None:
    error = await refused(tmp_path, monkeypatch, last)
    assert error.what.endswith(f"last seen: {last}")
    assert advice in error.try_
    assert error.why == "It wrote nothing."


async def test_its_output_is_shown_and_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = await refused(tmp_path, monkeypatch, "connection refused", "listening on 8777\n")
    assert error.why == "The end of its output (untrusted):\nlistening on 8777"
