"""`millrace why`: what led to something, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from millrace import Event, Millrace
from millrace.cli.causes import Branch, causes_tree
from millrace.cli.errors import CliError
from millrace.cli.graph import graph_tree
from millrace.cli.options import DEFAULT_URL, Json, Url, ask
from millrace.cli.output import console, detail, moment, print_json
from millrace.contracts.job_graph import JobGraph
from millrace.contracts.log import CloudEvent

# with the time, the type and some branches before it, what a line of a pipe has room for
LINE_WIDTH = 160


def why(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The id of a job or anything else.")],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Prints the tree of causes and effects that something belongs to, and the jobs around a job."""

    async def find(app: Millrace) -> tuple[list[Event], JobGraph | None]:
        events = await app.why(id_)
        is_job = any(event.subject == id_ and event.eventtype.startswith("job.") for event in events)
        return events, await app.jobs.graph(id_) if is_job else None

    events, graph = ask(url, find)
    if not events:
        raise CliError(f"nothing is recorded about {id_!r}")
    if as_json:
        for event in events:
            print_json(event)
        if graph is not None and graph.links:
            print_json(graph)
        return
    console().print(events_tree(events, id_))
    if graph is not None and graph.links:
        console().print(graph_tree(graph, id_))


def why_waiting(
    job_id: Annotated[str, typer.Argument(help="The job.")], url: Url = DEFAULT_URL, as_json: Json = False
) -> None:
    """Tells the one reason for which a job has not started, or what became of it."""
    found = ask(url, lambda app: app.jobs.why(job_id))
    print_json(found) if as_json else typer.echo(f"{found.code}: {found.reason}")


def events_tree(events: Sequence[CloudEvent], asked: str) -> Tree:
    """The events of one correlation, each with its data below what caused it; the aggregate `asked` stands out."""
    tree = Tree(Text(f"correlation {events[0].correlationid or asked}", style="bold"))
    for branch in causes_tree(events):
        _grow(tree, branch, asked)
    return tree


def _grow(tree: Tree, branch: Branch, asked: str) -> None:
    node = tree.add(Text(f"{branch.kind} {branch.id}", style="bold yellow" if branch.id == asked else "bold"))
    for step in branch.steps:
        line = Text.assemble((moment(step.event.time), "dim"), " ", (step.event.eventtype, "cyan"), " ")
        leaf = node.add(line.append(detail(step.event, LINE_WIDTH), style="dim"))
        for effect in step.effects:
            _grow(leaf, effect, asked)
    for effect in branch.effects:
        _grow(node, effect, asked)
