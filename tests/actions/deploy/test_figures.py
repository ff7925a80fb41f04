"""The Health Checks table: which figures are users' and which are ours, in words a reader knows."""

from soc_deploy_mcp.actions.deploy.figures import health_rows
from soc_deploy_mcp.actions.deploy.sight import Figures
from tests.core.report.journals import plan


def rows(figures: Figures) -> dict[str, tuple[str, str]]:
    of = plan("A")
    return {row.check: (row.actual, row.status) for row in health_rows(of, figures, None, of.new.slug)}


def test_figures_of_our_own_probes_are_not_told_as_what_users_met() -> None:
    probed = rows(Figures(p95_ms=19.2, error_rate=0.0, requests=200, probes=200, cpu=0.1, memory=0.1))
    assert probed["Response Time"] == ("19ms (our probes)", "ok")
    assert probed["Error Rate"] == ("0.00% (our probes)", "ok")
    assert probed["CPU Usage"] == ("10%", "ok")


def test_users_figures_need_no_remark_and_no_figure_is_no_data() -> None:
    assert rows(Figures(p95_ms=19.2, error_rate=0.0, requests=200))["Response Time"] == ("19ms", "ok")
    assert rows(Figures())["Error Rate"] == ("—", "no_data")
