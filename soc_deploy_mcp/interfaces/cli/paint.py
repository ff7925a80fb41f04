"""A report on a terminal: the same Markdown, with tables drawn and signs coloured."""

from __future__ import annotations

import re


def report(text: str) -> None:
    """Print Markdown as a person reads it. Nothing is added, left out or reworded."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    table: Table | None = None
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                continue
            if table is None:
                table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
                for cell in cells:
                    table.add_column(_escaped(cell))
                continue
            table.add_row(*(_escaped(cell) for cell in cells))
            continue
        if table is not None:
            console.print(table)
            table = None
        console.print(_line(line))
    if table is not None:
        console.print(table)


def _line(line: str) -> str:
    if heading := re.match(r"(#+) (.*)", line):
        style = "bold underline" if len(heading[1]) == 1 else "bold cyan"
        return f"[{style}]{_escaped(heading[2])}[/]"
    line = _escaped(line.rstrip())
    line = re.sub(r"\*\*(.+?)\*\*", r"[bold]\1[/]", line)
    line = line.replace("- \\[x]", "[green]✓[/]").replace("- \\[ ]", "[yellow]☐[/]")
    return re.sub(r"^- (HIGH RISK|Warning):", r"- [red]\1:[/]", line)


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")
