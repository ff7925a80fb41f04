"""The sequential judge: counts in, words out. Pure, standard library's mathematics only, no clock, no I/O.

`specs` makes the rules, `new_state`, `update` and `on_new_step` carry the evidence, `verdict` says the word.
"""

from soc_deploy_mcp.actions.deploy.judge.decide import verdict
from soc_deploy_mcp.actions.deploy.judge.dispersion import Dispersion, k_hat
from soc_deploy_mcp.actions.deploy.judge.measured import Measured, latency_bound
from soc_deploy_mcp.actions.deploy.judge.power import Power
from soc_deploy_mcp.actions.deploy.judge.specs import planned_ticks, probes_wanted, specs, stage_power
from soc_deploy_mcp.actions.deploy.judge.state import JudgeState
from soc_deploy_mcp.actions.deploy.judge.ticks import ArmTick, Count, Memory, Tick
from soc_deploy_mcp.actions.deploy.judge.types import Cost, MetricSpec, Reading, Specs, StepInfo, Verdict, Word
from soc_deploy_mcp.actions.deploy.judge.update import new_state, on_new_step, update
from soc_deploy_mcp.actions.deploy.judge.wanted import Stage

__all__ = [
    "ArmTick",
    "Cost",
    "Count",
    "Dispersion",
    "JudgeState",
    "Measured",
    "Memory",
    "MetricSpec",
    "Power",
    "Reading",
    "Specs",
    "Stage",
    "StepInfo",
    "Tick",
    "Verdict",
    "Word",
    "k_hat",
    "latency_bound",
    "new_state",
    "on_new_step",
    "planned_ticks",
    "probes_wanted",
    "specs",
    "stage_power",
    "update",
    "verdict",
]
