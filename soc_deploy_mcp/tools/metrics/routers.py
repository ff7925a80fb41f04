"""What routers call their counters. The only place with such names; everything else asks by arm.

An arm's names come from the platform (`labels(release)`); none is ever built from a version.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from soc_deploy_mcp.core.metrics import ArmLabels
from soc_deploy_mcp.tools.metrics.exposition import escaped

PROBES = "soc_probes_total"  # our own answered requests, with the router's name and class labels (see probes.py)


@dataclass(frozen=True, slots=True)
class RouterQueries:
    """One kind of router. `requests` counts answers by class of status, `buckets` is a classic histogram."""

    requests: str
    class_label: str
    bad_class: str
    buckets: str
    ms: float  # milliseconds in one unit of `le`

    def requests_selector(self, arm: ArmLabels) -> str:
        """The raw counters of all answers, one series for each name and class."""
        return f"{self.requests}{{{_named(arm)}}}"

    def errors_selector(self, arm: ArmLabels) -> str:
        return f'{self.requests}{{{_named(arm)},{self.class_label}="{self.bad_class}"}}'

    def buckets_selector(self, arm: ArmLabels) -> str:
        return f"{self.buckets}{{{_named(arm)}}}"

    def total(self, arm: ArmLabels) -> str:
        """Requests since the router started, all names of the arm together."""
        return f"sum({self.requests_selector(arm)})"

    def errors(self, arm: ArmLabels) -> str:
        """Answers 5xx since the router started. No series means no error, if there are requests."""
        return f"sum({self.errors_selector(arm)})"

    def latency_buckets(self, arm: ArmLabels) -> str:
        return f"sum by (le) ({self.buckets_selector(arm)})"

    def quantile(self, arm: ArmLabels, window_s: float, q: float = 0.95) -> str:
        """For people: the latency quantile over a window, in the router's unit."""
        return f"histogram_quantile({q:g}, sum by (le) (rate({self.buckets_selector(arm)}[{_duration(window_s)}])))"

    def error_ratio(self, arm: ArmLabels, window_s: float) -> str:
        """For people: the share of 5xx over a window. Empty while the router has not seen its first 5xx."""
        return f"sum(rate({self.errors_selector(arm)}[{_duration(window_s)}])) / {self.request_rate(arm, window_s)}"

    def request_rate(self, arm: ArmLabels, window_s: float) -> str:
        """For people: requests a second over a window."""
        return f"sum(rate({self.requests_selector(arm)}[{_duration(window_s)}]))"

    def is_bad(self, labels: Mapping[str, str]) -> bool:
        return labels.get(self.class_label) == self.bad_class

    def bound_ms(self, labels: Mapping[str, str]) -> float | None:
        """The upper bound of a bucket in milliseconds; None when the series is no bucket."""
        try:
            return float(labels["le"]) * self.ms if labels.get("__name__") == self.buckets else None
        except (KeyError, ValueError):
            return None


QUERIES: dict[str, RouterQueries] = {
    "envoy": RouterQueries(
        requests="envoy_cluster_upstream_rq_xx",
        class_label="envoy_response_code_class",
        bad_class="5",
        buckets="envoy_cluster_upstream_rq_time_bucket",
        ms=1.0,
    ),
}


def _named(arm: ArmLabels) -> str:
    if len(arm.values) == 1:
        return f'{arm.label}="{escaped(arm.values[0])}"'
    pattern = "|".join(re.escape(value) for value in arm.values)
    return f'{arm.label}=~"{escaped(pattern)}"'


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
