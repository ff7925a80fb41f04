"""What install and uninstall print: one line a file, then what to do next; or a diff; or JSON."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from soc_deploy_mcp.interfaces.cli.install.clients import Client
from soc_deploy_mcp.interfaces.cli.install.site import Site
from soc_deploy_mcp.interfaces.cli.install.steps import Step
from soc_deploy_mcp.interfaces.cli.output import show_json


@dataclass
class Result:
    """Of one client."""

    client: Client
    steps: list[Step]
    notes: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        return any(step.word == "refused" for step in self.steps)

    @property
    def current(self) -> bool:
        """Nothing would change, and nothing was left as somebody else wants it."""
        return all(step.word == "unchanged" for step in self.steps)


def show(site: Site, results: Sequence[Result], *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        show_json(to_json(site, results, dry_run=dry_run))
        return
    for result in results:
        for line in _lines(site, result, dry_run=dry_run):
            print(line)


def to_json(site: Site, results: Sequence[Result], *, dry_run: bool) -> dict[str, Any]:
    return {
        "scope": site.scope,
        "base": site.base,
        "dry_run": dry_run,
        "clients": [
            {"client": result.client.name, "files": [_row(step) for step in result.steps], "notes": result.notes}
            for result in results
        ],
    }


def diff(site: Site, step: Step) -> str:
    """What a step would change, as unified diff."""
    old, new = _text(step.before), _text(step.after)
    name = site.shown(step.path)
    heads = (name if step.before is not None else "/dev/null", name if step.after is not None else "/dev/null")
    lines = difflib.unified_diff(old, new, *heads)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(site: Site, result: Result, *, dry_run: bool) -> Iterator[str]:
    yield f"{result.client.title} ({site.scope}, {site.base})" + (": nothing is written" if dry_run else "")
    for step in result.steps:
        yield f"  {step.word:<9}  {site.shown(step.path)}" + (f" ({step.why})" if step.why else "")
        if dry_run and step.before != step.after:
            yield diff(site, step)
    for step in result.steps:
        if step.snippet:
            yield f"To paste into {site.shown(step.path)} yourself:\n{step.snippet}"
    for note in result.notes:
        yield f"- {note}"


def _row(step: Step) -> dict[str, Any]:
    row: dict[str, Any] = {"path": step.path, "outcome": step.word, "why": step.why}
    return row | ({"snippet": step.snippet} if step.snippet else {})


def _text(data: bytes | None) -> list[str]:
    return (data or b"").decode("utf-8", "replace").splitlines(keepends=True)
