"""Jobs that come after each other, put together before they are enqueued in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from millrace.contracts.job import Job


class Graph:
    """Items for `app.jobs.enqueue_graph`.

    `add` returns what stands for the new job in the `after` of others:

        graph = Graph()
        pages = [graph.add("fetch", {"url": url}) for url in urls]
        graph.add("summarise", after=pages)
        jobs = await app.jobs.enqueue_graph(graph)
    """

    def __init__(self) -> None:
        self._items: list[dict[str, Any]] = []

    def add(
        self,
        name: str,
        data: Mapping[str, Any] | BaseModel | None = None,
        *,
        after: Job | str | Iterable[Job | str] | None = None,
        **options: Any,
    ) -> str:
        """Adds a job; takes what `app.jobs.enqueue` takes."""
        self._items.append({"name": name, "data": data, "after": after, **options})
        return f"#{options.get('ref') or len(self._items) - 1}"

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._items)
