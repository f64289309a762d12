"""The jobs around one as a tree."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from millrace.cli.graph import graph_tree
from millrace.contracts.job_graph import JobGraph


def printed(jobs: list[tuple[str, str | None]], links: list[tuple[str, str]], complete: bool = True) -> list[str]:
    told: dict[str, Any] = {
        "jobs": [{"job_id": job_id, "name": "n", "status": status} for job_id, status in jobs],
        "links": [{"parent": parent, "child": child, "on_parent_failure": "run"} for parent, child in links],
        "complete": complete,
    }
    screen = Console(file=StringIO(), width=200)
    screen.print(graph_tree(JobGraph.model_validate(told), jobs[0][0]))
    assert isinstance(screen.file, StringIO)
    return [line.strip(" │├└─") for line in screen.file.getvalue().splitlines()[1:]]


def test_children_stand_under_their_parents_and_once_in_full() -> None:
    jobs = [("b", "pending"), ("a", "completed"), ("c", "delayed"), ("d", "delayed"), ("e", "delayed")]
    lines = printed(jobs, [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e")])
    assert lines == [
        "job a n completed",
        "job b n pending",
        "job d n delayed",
        "job e n delayed",
        "job c n delayed",
        "job d n delayed (see above)",
    ]


def test_what_is_left_out_and_what_is_gone_is_said() -> None:
    lines = printed([("a", None), ("b", "pending")], [("a", "b")], complete=False)
    assert lines == ["job a n removed", "job b n pending", "… and more"]
