"""The jobs around one as a tree: those that nothing here comes before are roots."""

from __future__ import annotations

from rich.text import Text
from rich.tree import Tree

from millrace.cli.output import STATUS_STYLES
from millrace.contracts.job_graph import GraphJob, JobGraph


def graph_tree(graph: JobGraph, asked: str) -> Tree:
    """Children under their parents. One with several parents stands in full under the first, and is named under the
    others."""
    children: dict[str, list[str]] = {}
    for link in graph.links:
        children.setdefault(link.parent, []).append(link.child)
    below = {link.child for link in graph.links}
    jobs = {job.job_id: job for job in graph.jobs}
    tree = Tree(Text("jobs, each under the one that it comes after", style="bold"))
    waiting = [(tree, job_id) for job_id in reversed(jobs) if job_id not in below]
    shown: set[str] = set()
    while waiting:
        place, job_id = waiting.pop()
        again = job_id in shown and bool(children.get(job_id))
        node = place.add(_line(jobs[job_id], asked, again))
        if job_id not in shown:
            shown.add(job_id)
            waiting += [(node, child) for child in reversed(children.get(job_id, []))]
    if not graph.complete:
        tree.add(Text("… and more", style="dim"))
    return tree


def _line(job: GraphJob, asked: str, again: bool) -> Text:
    name = Text(f"job {job.job_id}", style="bold yellow" if job.job_id == asked else "bold")
    status = Text("removed", style="dim") if job.status is None else Text(job.status.value, STATUS_STYLES[job.status])
    return Text.assemble(name, " ", job.name or "", " ", status, " (see above)" if again else "")
