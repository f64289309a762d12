"""Tables, verdicts and files."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from benchmarks.arena import Contender
from benchmarks.bars import Verdict, verdicts
from benchmarks.catalogue import unit
from benchmarks.chart import chart
from benchmarks.environments import versions
from benchmarks.machine import facts
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
    peers = [contender.entry.name for contender in contenders]
    known = facts(servers, race.loads) | {"run": f"{options.rounds} rounds, {options.jobs:,} jobs"}
    installed = {each.entry.name: versions(each.python, each.entry) for each in contenders if each.entry.packages}
    known |= {f"peer {peer}": _packages(packages) for peer, packages in installed.items()}
    judged = verdicts(race)
    console.print(table(race, peers))
    if judged:
        console.print(bars(judged))
    for name, value in known.items():
        console.print(f"[bold]{name}[/bold]: {value}", highlight=False)
    for peer, reason in left_out.items():
        console.print(f"left out: {peer}: {reason}")
    for failure in race.failures:
        console.print(f"[red]failed[/red]: {failure}")
    keep(race)
    _write("bars.json", [_plain(verdict) for verdict in judged])
    _write("run.json", {"machine": known, "left_out": left_out, "failures": race.failures})
    (OUT / "chart.svg").write_text(chart(race, peers, known))
    console.print(f"written to {OUT}: results.json, rounds.json, bars.json, run.json, chart.svg")


def keep(race: Race) -> None:
    """Writes the figures alone."""
    _write("results.json", results(race))
    _write("rounds.json", race.results)


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


def bars(judged: list[Verdict]) -> Table:
    """A row for each bar."""
    shown = Table(title="bars")
    for column in ("bar", "measured", "limit", "verdict"):
        shown.add_column(column, justify="right" if column == "measured" else "left")
    for verdict in judged:
        colour, word = ("green", "pass") if verdict.passed else ("red", "FAIL")
        if verdict.bar.direction:
            colour, word = "yellow", "reached" if verdict.passed else "not yet (a direction)"
        shown.add_row(verdict.bar.name, f"{verdict.value:,.3g}", verdict.limit, f"[{colour}]{word}[/{colour}]")
    return shown


def _cell(race: Race, figure: str, peer: str) -> str:
    value, ratio = race.median(figure, peer), race.ratio(figure, OURS, peer)
    if value is None:
        return "–"
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return text if peer == OURS or ratio is None else f"{text} ({ratio:.2f}×)"


def _packages(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def _plain(verdict: Verdict) -> dict[str, object]:
    bar = verdict.bar
    return {"bar": bar.name, "value": verdict.value, "limit": verdict.limit, "passed": verdict.passed} | (
        {"direction": True} if bar.direction else {}
    )


def _write(name: str, content: object) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
