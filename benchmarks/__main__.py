"""`python -m benchmarks [figure …]`: runs the race, or the workloads that yield the named figures."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import race as racing
from benchmarks.arena import Contender
from benchmarks.catalogue import WORKLOADS, chosen
from benchmarks.environments import PeerUnavailable, python_of
from benchmarks.options import Options, quick
from benchmarks.registry import PEERS, QUICK
from benchmarks.report import keep, report
from benchmarks.servers import Servers, ServersMissing

console = Console(width=int(os.environ.get("COLUMNS", "160")))


def main(
    figures: Annotated[
        list[str] | None, typer.Argument(help="What to measure, for example drain; default all.")
    ] = None,
    peers: Annotated[str, typer.Option(envvar="PEERS", help="Names with commas.")] = "",
    rounds: Annotated[int, typer.Option(envvar="ROUNDS", min=0)] = 0,
    n: Annotated[int, typer.Option("--n", envvar="N", help="Jobs in each throughput run.", min=0)] = 0,
    is_quick: Annotated[bool, typer.Option("--quick", envvar="QUICK", help="Less than five minutes.")] = False,
    workloads: Annotated[str, typer.Option(envvar="WORKLOADS", help="Like the arguments, with commas.")] = "",
) -> None:
    """Races Millrace against its peers on real servers and writes benchmarks/out."""
    names = [*(figures or []), *(name for name in workloads.split(",") if name)]
    asked = tuple(name for name in peers.split(",") if name) or (QUICK if is_quick else tuple(PEERS))
    unknown = [name for name in asked if name not in PEERS]
    if unknown:
        raise typer.BadParameter(f"there is no peer {unknown[0]!r}; known are {', '.join(PEERS)}")
    try:
        selected = [each for each in chosen(names) if names or each.quick or not is_quick]
    except KeyError as error:
        known = ", ".join(name for workload in WORKLOADS for name in workload.figures)
        raise typer.BadParameter(f"there is no figure {error}; known are {known}") from None
    options = quick(asked) if is_quick else Options(asked)
    options = dataclasses.replace(options, rounds=rounds or options.rounds, jobs=n or options.jobs)
    # Leaving by an exception ends every process of the race and drops its databases.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        with Servers.of_environment() as servers:
            contenders, left_out = prepared(asked, servers)
            for workload in selected:
                left_out |= workload.left_out()
            found = racing.run(contenders, selected, servers, options, console.print, keep)
            report(console, found, contenders, left_out, options, servers)
    except ServersMissing as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from None
    if found.failures:
        raise typer.Exit(1)


def prepared(names: tuple[str, ...], servers: Servers) -> tuple[list[Contender], dict[str, str]]:
    """Who takes part, and who does not and why."""
    contenders, left_out = [], {}
    for name in names:
        try:
            if PEERS[name].redis and not servers.redis:
                servers.take_redis()
            contenders.append(Contender(PEERS[name], python_of(PEERS[name])))
        except (PeerUnavailable, ServersMissing) as reason:
            left_out[name] = str(reason)
            console.print(f"{name} is left out: {reason}")
    return contenders, left_out


if __name__ == "__main__":
    typer.run(main)
