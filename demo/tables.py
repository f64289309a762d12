"""The summary as it is shown in the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from demo.summary import Summary


def show(console: Console, summary: Summary) -> None:
    """Prints the summary's tables."""
    totals, timing = summary.totals, summary.timing
    console.print(_pairs("Jobs by status", summary.statuses.items()))
    rate = totals.files / timing.whole if timing.whole else 0.0
    console.print(
        _pairs(
            "Files parsed",
            [
                ("files", f"{totals.files:,}"),
                ("size", f"{totals.bytes / 1e6:.1f} MB, {totals.lines:,} lines"),
                ("functions, classes", f"{totals.functions:,}, {totals.classes:,}"),
                ("with a docstring", f"{totals.documented:,} of {totals.documentable:,}"),
                ("time", f"{timing.whole:.1f} s, {rate:,.0f} files/s"),
                ("half of the small packages (priority)", f"after {timing.first_half_of_small:.1f} s"),
                ("half of the rest", f"after {timing.first_half_of_rest:.1f} s"),
            ],
        )
    )
    console.print(_pairs("Longest files (lines)", ((path, f"{lines:,}") for path, lines in summary.biggest)))
    console.print(_pairs("Most imported modules (files)", summary.most_imported))
    dead = Table("file", "attempts", "last error", title="Dead letters", title_justify="left")
    for letter in summary.dead_letters:
        dead.add_row(letter.path, str(letter.attempts), letter.error)
    console.print(dead)


def _pairs(title: str, rows: Iterable[tuple[str, object]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows:
        table.add_row(name, str(value))
    return table
