"""Journals to project: hand-made ones for each ending, and generated ones."""

from collections.abc import Iterable

from hypothesis import strategies as st

from soc_deploy_mcp.core import event as ev
from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.event import GENESIS, HealthRow, Payload, Record, State
from soc_deploy_mcp.core.evidence import Check, CheckState, observed, passed
from soc_deploy_mcp.core.ids import Epoch, Instant, RunId, StepKey
from soc_deploy_mcp.core.plan import Confirm, Plan, Shift, Step, Waiver, WayBack
from soc_deploy_mcp.core.release import Artifact, Release, Target
from soc_deploy_mcp.core.request import Caller, Request

RUN = RunId("run_" + "8f" * 16)
BEGAN = 1_795_000_000.0
YAML = 'services: {shop: {run: [serve, "{port}"]}}\nhealth_checks: {error_rate: {target: "<0.5%"}}\n'
SETTINGS = Config.read(YAML).settings("shop", "prod")
TARGET = Target(project="/srv/shop", service="shop", environment="prod")
EVIDENCE = observed("tests", "c" * 40, tool="unittest", query="test", figure="4 passed, 0 failed", at=Instant(BEGAN))


def release(version: str) -> Release:
    artifact = Artifact(kind="git", source="/srv/shop", commit="c" * 40, digest=version[1] * 64, provenance=version)
    return Release(version=version, artifact=artifact, spec=SETTINGS.spec)


def plan(*rows: str, first: bool = False, waivers: tuple[Waiver, ...] = ()) -> Plan:
    old = None if first else release("v1.1.0")
    return Plan(
        action="deploy",
        target=TARGET,
        strategy="canary",
        new=release("v1.2.0"),
        old=old,
        steps=tuple(
            Step(
                key=StepKey(row.lower().replace(" ", "-")),
                row=row,
                ops=(Shift(new=10), Confirm(new=10)),
                deadline_s=60,
                verification="seen",
                undo="back",
            )
            for row in rows
        ),
        way_back=WayBack(release=old, why="stable, running" if old else "first release, nothing to return to"),
        settings=SETTINGS,
        auto_rollback=True,
        waivers=waivers,
    )


def opened(action: str = "deploy", several: bool = False) -> ev.RunOpened:
    return ev.RunOpened(
        request=Request(action=action, environment="prod", version="v1.2.0", strategy="canary"),  # type: ignore[arg-type]
        caller=Caller(kind="cli", subject="uid:0", project="/srv/shop"),
        line="/soc-deploy prod --action deploy --version v1.2.0 --strategy canary",
        target=TARGET,
        several=several,
    )


def rows(*events: tuple[float, Payload]) -> list[Record]:
    """A chain: (seconds after the begin, what was written)."""
    records: list[Record] = []
    previous = GENESIS
    for seq, (after, event) in enumerate(events, 1):
        entry = event.entry(f"key/{seq}")
        bare = Record(
            seq=seq, run=RUN, epoch=Epoch(1), at=Instant(BEGAN + after), kind=entry.kind, key=entry.key,
            payload=entry.payload, prev_hash=previous, hash="",
        )  # fmt: skip
        records.append(bare.model_copy(update={"hash": bare.expected_hash()}))
        previous = records[-1].hash
    return records


def step(at: float, row: str, seconds: float, status: str = "ok", word: str = "") -> Iterable[tuple[float, Payload]]:
    key = StepKey(row.lower().replace(" ", "-"))
    yield at, ev.StepStarted(step=key, row=row)
    shown = f"{row} ({word})" if word else row
    yield at + seconds, ev.StepEnded(step=key, row=shown, status=status)  # type: ignore[arg-type]


def health(*cells: tuple[str, str, str, str]) -> ev.HealthSeen:
    made = tuple(HealthRow(check=c, target=t, actual=a, status=s) for c, t, a, s in cells)  # type: ignore[arg-type]
    return ev.HealthSeen(release="v1.1.0", window_s=10, rows=made)


FOUR = (
    ("Response Time", "<200ms", "3ms", "ok"),
    ("Error Rate", "<0.5%", "0.00%", "ok"),
    ("CPU Usage", "<70%", "6%", "ok"),
    ("Memory Usage", "<80%", "14%", "ok"),
)


def begun(p: Plan) -> list[tuple[float, Payload]]:
    return [
        (0.0, opened()),
        (0.1, ev.EvidenceSeen(evidence=EVIDENCE)),
        (0.2, ev.PlanMade(plan=p, hash=p.hash)),
        (0.3, ev.CheckMade(check=passed("g.tests", "All tests passing", EVIDENCE, "4 passed, 0 failed"))),
        (
            0.4,
            ev.ApprovalGiven(grade="A0", by="uid:0", channel="--auto-approve", unattended=True),
        ),
        (0.5, ev.Moved(state=State.RUNNING)),
    ]


def succeeded() -> list[Record]:
    p = plan("Start canary v1.2.0", "Canary 10 %")
    return rows(
        *begun(p),
        *step(1.0, "Start canary v1.2.0", 1.9),
        *step(3.0, "Canary 10 %", 130.0, word="ACCEPT after 2m 10s"),
        (134.0, health(*FOUR)),
        (135.0, ev.WayBackSeen(current="v1.2.0", back="v1.1.0", why="stable", estimate_s=5.0, basis="one write")),
        (136.0, ev.Finished(state=State.SUCCEEDED, first_line="v1.2.0 serves shop/prod")),
    )


def rolled_back() -> list[Record]:
    p = plan("Start canary v1.2.0", "Canary 10 %", "Canary 50 %")
    return rows(
        *begun(p),
        *step(1.0, "Start canary v1.2.0", 1.9),
        (3.0, ev.StepStarted(step=StepKey("canary-10-%"), row="Canary 10 %")),
        (9.0, ev.GoingBack(code="REJECT errors", why="errors: worse (9/182 new, 0/1,617 old)", by="judge")),
        (
            9.0,
            ev.StepEnded(
                step=StepKey("canary-10-%"), row="Canary 10 % (REJECT: errors)", status="failed", note="REJECT errors"
            ),
        ),
        *step(9.0, "Shift traffic to v1.1.0 (100 %)", 0.1),
        (9.1, ev.TrafficBack(seconds=0.1, to="v1.1.0")),
        *step(9.2, "Verify v1.1.0 health", 10.0),
        (
            19.0,
            health(*FOUR, ("Error rate vs baseline (v1.2.0)", "<2.0× the baseline", "∞× (9/182 vs 0/1,617)", "failed")),
        ),
        (19.5, ev.Impact(requests_new=182, errors_new=9, excess_errors=9.0, budget_share=0.004, lost=0)),
        (19.6, ev.WayBackSeen(current="v1.1.0", back="v1.0.0", why="stable", estimate_s=9.0, basis="measured")),
        (19.7, ev.Recorded(what="incident", path=f".soc-deploy/incidents/{RUN}.md")),
        (20.0, ev.Finished(state=State.ROLLED_BACK, first_line="v1.1.0 has all requests again")),
    )


def failed_early() -> list[Record]:
    p = plan("Start canary v1.2.0", "Canary 10 %")
    what = "v1.2.0 ended with exit code 1"
    error = ev.ErrorSeen(code="E_EXITED_AT_START", what=what, try_="soc-deploy logs shop/prod")
    return rows(
        *begun(p),
        (1.0, ev.StepStarted(step=StepKey("start-canary-v1.2.0"), row="Start canary v1.2.0")),
        (2.0, error),
        (2.1, ev.GoingBack(code="E_EXITED_AT_START", why="v1.2.0 ended with exit code 1", by="soc-deploy")),
        (
            2.1,
            ev.StepEnded(
                step=StepKey("start-canary-v1.2.0"),
                row="Start canary v1.2.0 (E_EXITED_AT_START)",
                status="failed",
                note="v1.2.0 ended with exit code 1",
            ),
        ),
        *step(2.2, "Drain and stop v1.2.0", 0.1),
        (3.0, ev.Finished(state=State.FAILED_NO_CHANGE, first_line="no user traffic was affected")),
    )


def operator() -> list[Record]:
    p = plan("Start canary v1.2.0", "Canary 10 %")
    return rows(
        *begun(p),
        *step(1.0, "Start canary v1.2.0", 1.9),
        (5.0, ev.GoingBack(code="CRASH", why="an instance ended", by="judge")),
        *step(5.0, "Shift traffic to v1.1.0 (100 %)", 600.0, status="failed"),
        (605.0, ev.Finished(state=State.NEEDS_OPERATOR, first_line="traffic now: unknown")),
    )


def dry_run() -> list[Record]:
    p = plan("Start canary v1.2.0", "Canary 10 %")
    return rows(*begun(p)[:4], (1.0, ev.Finished(state=State.DRY_RUN, first_line="nothing was executed")))


def waiting() -> list[Record]:
    p = plan("Start canary v1.2.0", "Canary 10 %")
    return rows(*begun(p)[:4], (1.0, ev.Moved(state=State.WAITING_APPROVAL)))


def running() -> list[Record]:
    p = plan("Start canary v1.2.0", "Canary 10 %")
    started = ev.StepStarted(step=StepKey("canary-10-%"), row="Canary 10 %")
    return rows(*begun(p), *step(1.0, "Start canary v1.2.0", 1.9), (3.0, started))


ENDINGS = {
    "succeeded": succeeded,
    "rolled_back": rolled_back,
    "failed_early": failed_early,
    "operator": operator,
    "dry_run": dry_run,
    "waiting": waiting,
    "running": running,
}

# --- generated

_text = st.text(max_size=60)
_states = st.sampled_from([s for s in State if s is not State.DRAFT])
_secs = st.floats(0, 1e6, allow_nan=False)


def _check(draw_evidence: bool, state: CheckState, id_: str, figure: str, reason: str) -> Check | None:
    try:
        return Check(
            id=id_, title="", state=state, figure=figure, reason=reason,
            evidence=(EVIDENCE.id,) if draw_evidence else (),
        )  # fmt: skip
    except ValueError:
        return None


_ids = st.sampled_from(["g.tests", "g.scan_ran", "g.migrations", "g.rollback", "n.oncall", "post.logs", "h.observed"])
_checks = st.builds(_check, st.booleans(), st.sampled_from(CheckState), _ids, _text, _text).filter(bool)
_keys = st.sampled_from(["a", "b", "c"]).map(StepKey)
_payloads: st.SearchStrategy[Payload] = st.one_of(
    _checks.map(lambda c: ev.CheckMade(check=c)),
    st.builds(ev.StepStarted, step=_keys, row=_text),
    st.builds(ev.StepEnded, step=_keys, row=_text, status=st.sampled_from(["ok", "failed", "not_run"]), note=_text),
    st.builds(ev.Moved, state=_states, reason=_text, why=_text),
    st.builds(ev.GoingBack, code=_text, why=_text, by=_text),
    st.builds(ev.TrafficBack, seconds=_secs, to=_text),
    st.builds(ev.Notice, level=st.sampled_from(["minor", "note", "warning", "high_risk"]), text=_text,
              untrusted=st.booleans()),
    st.builds(ev.ErrorSeen, code=_text, what=_text, why=_text, try_=_text),
    st.builds(ev.HealthSeen, release=_text, window_s=_secs, rows=st.lists(
        st.builds(HealthRow, check=_text, target=_text, actual=_text,
                  status=st.sampled_from(["ok", "failed", "partial", "no_data"]), note=_text), max_size=6).map(tuple)),
    st.builds(ev.WayBackSeen, current=st.none() | _text, back=st.none() | st.just("v1.0.0"), why=_text,
              estimate_s=st.none() | _secs, basis=_text),
    st.builds(ev.Impact, requests_new=st.integers(0, 10**9), errors_new=st.integers(0, 10**9), excess_errors=_secs,
              budget_share=st.none() | st.floats(0, 10), lost=st.none() | st.integers(0, 10**6)),
    st.builds(ev.ApprovalGiven, grade=st.sampled_from(["none", "A0", "A1"]), by=_text, channel=_text,
              unattended=st.booleans()),
    st.builds(ev.Finished, state=_states.filter(lambda s: s.terminal), reason=_text, first_line=_text),
    st.just(ev.PlanMade(plan=plan("A step"), hash=plan("A step").hash)),
)  # fmt: skip


@st.composite
def journals(draw: st.DrawFn) -> list[Record]:
    """Any rows in any order behind the opening one; times never go back."""
    events: list[tuple[float, Payload]] = [(0.0, opened(several=draw(st.booleans())))]
    at = 0.0
    for event in draw(st.lists(_payloads, max_size=25)):
        at += draw(st.floats(0, 1000))
        events.append((at, event))
    return rows(*events)
