"""Has a server stand still now and then while tests run beside it.

What only holds on a quick machine fails then, and so does a loop of the service that one unanswered statement ends.
"""

from __future__ import annotations

import random
import time
from typing import Annotated

import typer

from tests.faults.harness.family import frozen, thaw


def stall(
    pid: Annotated[int, typer.Argument(help="The server's first process; its children stand still with it.")],
    hold: Annotated[float, typer.Option(help="For so many seconds. Statements are given up after 2.")] = 2.3,
    every: Annotated[float, typer.Option(help="Seconds from one to the next, on average.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Of the pauses.")] = 1,
) -> None:
    """Stops and continues until it is interrupted; the server goes on then."""
    pauses = random.Random(seed)
    while True:
        time.sleep(pauses.uniform(0.5, 1.5) * every)
        family = frozen(pid)
        try:
            time.sleep(hold)
        finally:
            thaw(family)
        typer.echo(f"{time.strftime('%H:%M:%S')} {len(family)} processes stood still for {hold:g} s")


if __name__ == "__main__":
    typer.run(stall)
