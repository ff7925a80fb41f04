"""Users' requests are the router's less our own, however the two pages are apart in time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.tools.metrics.probes import Carried, Counts, users_of

_requests = st.lists(st.booleans(), max_size=5)  # one flag a request: did it fail?


def _counts(flags: list[bool]) -> Counts:
    return Counts(len(flags), sum(flags))


@settings(deadline=None)
@given(st.lists(st.tuples(_requests, _requests, st.booleans()), max_size=30))
def test_late_probes_shift_counts_and_never_change_their_sum(ticks: list[tuple[list[bool], list[bool], bool]]) -> None:
    """Probes are known to us in the tick they end; the router's page shows them then or one tick later."""
    carried, late, shown, true = Carried(), Counts(0, 0), Counts(0, 0), Counts(0, 0)
    for users, probes, delayed in [*ticks, ([False], [], False), ([False], [], False)]:
        ours, real = _counts(probes), _counts(users)
        seen = late if delayed else Counts(late.n + ours.n, late.x + ours.x)
        late = ours if delayed else Counts(0, 0)
        got, carried = users_of(Counts(real.n + seen.n, real.x + seen.x), ours, carried)
        assert 0 <= got.x <= got.n
        true = Counts(true.n + real.n, true.x + real.x)
        shown = Counts(shown.n + got.n, shown.x + got.x)
        assert shown.n <= true.n
    assert shown == true


def test_what_the_router_never_counted_is_not_owed_for_ever() -> None:
    got, carried = users_of(Counts(0, 0), Counts(3, 3), Carried())
    assert got == (0, 0)
    got, carried = users_of(Counts(0, 0), Counts(0, 0), carried)
    assert carried == Carried(0, 0)
    assert users_of(Counts(5, 2), Counts(0, 0), carried)[0] == (5, 2)


def test_an_error_whose_request_is_not_shown_yet_waits_for_it() -> None:
    got, carried = users_of(Counts(1, 1), Counts(1, 0), Carried())  # a user's failed request, a probe on its way
    assert got == (0, 0)
    _, carried = users_of(Counts(0, 0), Counts(0, 0), carried)  # also over a quiet look
    assert users_of(Counts(1, 0), Counts(0, 0), carried)[0] == (1, 1)
