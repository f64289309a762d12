"""Tables, verdicts and files."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from benchmarks.arena import Contender
from benchmarks.catalogue import unit
from benchmarks.options import OUT, Options
from benchmarks.race import Race
from benchmarks.registry import OURS
from benchmarks.servers import Servers


def report(
    console: Console,
    race: Race,
    contenders: list[Contender],
    left_out: dict[str, str],
    options: Options,
    servers: Servers,
) -> None:
    """Prints everything and writes it to `benchmarks/out`."""
    OUT.mkdir(parents=True, exist_ok=True)
    console.print(table(race, [contender.entry.name for contender in contenders]))
    (OUT / "results.json").write_text(json.dumps(results(race), indent=2) + "\n")


def results(race: Race) -> dict[str, dict[str, float | str]]:
    """Medians over the rounds: `{figure: {peer: value, …, "unit": …}}`."""
    found: dict[str, dict[str, float | str]] = {}
    for figure, peers in race.results.items():
        found[figure] = {peer: round(race.median(figure, peer) or 0.0, 4) for peer in peers}
        found[figure]["unit"] = unit(figure)
    return found


def table(race: Race, peers: list[str]) -> Table:
    """A row for each figure: the median of each peer, and ours as a multiple of it."""
    shown = Table(title="medians over the rounds (Millrace ÷ peer)")
    shown.add_column("figure")
    for peer in peers:
        shown.add_column(peer, justify="right")
    shown.add_column("unit")
    for figure in race.results:
        shown.add_row(figure, *(_cell(race, figure, peer) for peer in peers), unit(figure))
    return shown


def _cell(race: Race, figure: str, peer: str) -> str:
    value, ratio = race.median(figure, peer), race.ratio(figure, OURS, peer)
    if value is None:
        return "–"
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return text if peer == OURS or ratio is None else f"{text} ({ratio:.2f}×)"
