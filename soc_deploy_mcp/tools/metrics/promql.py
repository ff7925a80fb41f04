"""PromQL over a Store: the part of the language that checks and the report need."""

from soc_deploy_mcp.core.metrics import Sample
from soc_deploy_mcp.core.metrics import Vector as Samples
from soc_deploy_mcp.tools.metrics.compiled import Moment, Scalar, compiled_query, selected
from soc_deploy_mcp.tools.metrics.selectors import plain_selector
from soc_deploy_mcp.tools.metrics.store import Store
from soc_deploy_mcp.tools.metrics.vector_math import Vector

LOOKBACK_MS = 300_000  # an instant query takes a sample that is at most so old


class Engine:
    """Instant queries. `left_open`: windows are (t - range, t] as in Prometheus 3; False: [t - range, t] as in 2."""

    def __init__(self, store: Store, *, left_open: bool = True, lookback_ms: int = LOOKBACK_MS) -> None:
        self._store, self._left_open, self._lookback_ms = store, left_open, lookback_ms

    def query(self, expr: str, t_ms: int) -> Samples:
        """The vector at a moment; a scalar is one sample without labels. Raises BadQuery, Unsupported."""
        compiled = compiled_query(expr)
        moment = self._moment(t_ms)
        if isinstance(compiled, Scalar):
            return (Sample({}, compiled.of(moment), t_ms / 1000),)
        return _samples(compiled.of(moment))

    def select(self, selector: str, t_ms: int) -> Samples:
        """A plain selector: values with their own sample times. BadQuery when it is anything more."""
        return _samples(selected(plain_selector(selector))(self._moment(t_ms)))

    @staticmethod
    def check(expr: str) -> None:
        """Refuse now what could not be evaluated later. Raises BadQuery or Unsupported, with the column."""
        compiled_query(expr)

    def _moment(self, t_ms: int) -> Moment:
        return Moment(self._store, t_ms, self._left_open, self._lookback_ms)


def _samples(vector: Vector) -> Samples:
    return tuple(Sample(e.labels, e.value, e.at_ms / 1000) for e in vector)
