"""`millrace circuits`: which names have paused because their attempts fail; resetting and configuring them."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from millrace.cli.jobs import json_object
from millrace.cli.options import DEFAULT_URL, Json, Url, ask, list_by_default
from millrace.cli.output import console, print_found
from millrace.contracts.circuit import Circuit

Named = Annotated[str, typer.Argument(help="The name of the jobs.")]


def circuits() -> typer.Typer:
    """The group `circuits list|configure|reset`; without a command it lists."""
    group = typer.Typer(help="Lists circuit breakers, configures and resets them.", invoke_without_command=True)

    @group.command("list")
    def list_(url: Url = DEFAULT_URL, as_json: Json = False) -> None:
        """Lists the names that have a circuit breaker, and what state it is in."""
        found = ask(url, lambda app: app.circuits.list())
        print_found(found, as_json, print_circuits)

    @group.command()
    def configure(
        name: Named,
        policy: Annotated[str, typer.Argument(help='For example {"failures": 5, "window": 60, "pause": 30}.')],
        url: Url = DEFAULT_URL,
    ) -> None:
        """Gives the jobs of a name a circuit breaker."""
        given = json_object(policy)
        ask(url, lambda app: app.circuits.configure(name, given))
        typer.echo(f"{name} has the circuit breaker {json.dumps(given)}")

    @group.command()
    def reset(
        name: Named,
        reason: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
        url: Url = DEFAULT_URL,
    ) -> None:
        """Closes the circuit: jobs of the name start again."""
        ask(url, lambda app: app.circuits.reset(name, reason))
        typer.echo(f"the circuit of {name} is closed")

    list_by_default(group, list_)
    return group


def print_circuits(found: list[Circuit]) -> None:
    """A table of circuits."""
    table = Table("name", "state", "held", "until", "why", box=SIMPLE_HEAD)
    for circuit in found:
        until = "" if circuit.until is None else circuit.until.isoformat(timespec="seconds")
        table.add_row(circuit.name, circuit.state, str(circuit.held), until, circuit.reason or "")
    console().print(table)
