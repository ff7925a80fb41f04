"""An application at the other end of the command line that answers as a test says."""

from collections.abc import Callable, Iterator
from typing import Any

RUN = "run_0123456789abcdef0123456789abcdef"


def view(**changed: Any) -> dict[str, Any]:
    """A run that goes well, as `RunView.to_json` has it."""
    usual = {
        "id": RUN, "state": "RUNNING", "reason": "", "line": "/soc-deploy prod --action deploy --version v1.2.0",
        "target": "shop/prod", "action": "deploy", "version": "v1.2.0", "strategy": "canary", "dry_run": False,
        "plan_hash": "ab" * 32, "created_at": 1000.0, "ended_at": None, "step": "Canary 10 %", "done": 2, "total": 6,
        "exit": 10, "joined": False, "undoes": False, "waiting": None, "next": [f"soc-deploy status {RUN} --watch"],
        "first_line": "",
    }  # fmt: skip
    return usual | changed


OVER = view(state="SUCCEEDED", ended_at=1060.0, exit=0, step="", done=6, first_line="v1.2.0 serves shop/prod", next=[])
WAITING = view(
    state="WAITING_APPROVAL",
    waiting={"question": "Approve run?\n  steps ...", "command": f"soc-deploy approve {RUN}"},
    next=[f"soc-deploy approve {RUN}"],
)


class FakeLink:
    """Answers by method name; a tuple is answered one after the other, the last one again and again."""

    def __init__(self, events: list[dict[str, Any] | None] | None = None, **answers: Any) -> None:
        self.events, self.answers = events or [], answers
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.interrupts = False

    def call(self, method: str, **params: Any) -> Any:
        self.calls.append((method, params))
        answer = self.answers[method]
        if isinstance(answer, tuple):
            answer, self.answers[method] = answer[0], answer[1:] or answer
        if isinstance(answer, Exception):
            raise answer
        return answer(**params) if isinstance(answer, Callable) else answer  # type: ignore[arg-type]

    def follow(self, run: str, after: int = 0, *, tick: float | None = None) -> Iterator[dict[str, Any] | None]:
        yield from self.events
        if self.interrupts:
            raise KeyboardInterrupt

    def close(self) -> None: ...


def event(text: str, seq: int = 1, **more: Any) -> dict[str, Any]:
    return {"seq": seq, "at": 1795422249.0, "text": text, "done": 1, "total": 6, "state": "RUNNING"} | more
