"""Jobs of one call that come after each other: an entry `#…` of `after` names a sibling by its number or its `ref`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

MARK = "#"


class SiblingProblem(Exception):
    """Raised when the jobs of a call do not fit together; nothing of the call is carried out.

    Attributes:
        code: `dependency-cycle`, `unknown-ref`, or `invalid` where two have one `ref`.
        extra: what programs are told besides.
    """

    def __init__(self, code: str, text: str, **extra: Any) -> None:
        super().__init__(f"{text}; nothing was enqueued")
        self.code, self.extra = code, extra


class Item(NamedTuple):
    """One job of a call.

    Attributes:
        body: of `job.enqueue`, not validated yet.
        message_id: of the job's own command.
        job_id: that the job gets, unless another one with its unique key is the answer.
    """

    body: object
    message_id: str
    job_id: str


def name_siblings(bodies: Sequence[object]) -> bool:
    """Whether any job of a call has a `ref` or comes after a sibling."""
    return any(isinstance(body, dict) and ("ref" in body or ("after" in body and _names(body))) for body in bodies)


def _names(body: Mapping[str, Any]) -> list[str]:
    """The entries of `after` that name siblings, without the mark."""
    return [entry[1:] for entry in _after(body) if isinstance(entry, str) and entry.startswith(MARK)]


def _after(body: Mapping[str, Any]) -> list[Any]:
    after = body.get("after")
    return [after] if isinstance(after, str) else list(after) if isinstance(after, list | tuple) else []


class Siblings:
    """The jobs of one call in an order in which parents come before their children.

    Attributes:
        generations: numbers of the items; those of one generation can be carried out together, in their order. A new
            one begins where a parent has a unique key, since only its answer tells which job the child comes after.

    Raises:
        SiblingProblem: they do not fit together.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        numbers = self._numbers()
        self._parents = [
            {name: self._number(numbers, index, name) for name in _names(item.body)}
            if isinstance(item.body, dict)
            else {}
            for index, item in enumerate(items)
        ]
        self.generations = self._sorted()

    def parents(self, index: int) -> list[int]:
        """The siblings that an item comes after."""
        return list(self._parents[index].values())

    def body(self, index: int, job_ids: Mapping[int, str]) -> object:
        """The item's body with jobs in place of siblings.

        Args:
            job_ids: those that siblings were answered with, where they are known.
        """
        body = self._items[index].body
        named = self._parents[index]
        if not isinstance(body, dict) or not named:
            return body

        def job(entry: Any) -> Any:
            if not isinstance(entry, str) or not entry.startswith(MARK):
                return entry
            sibling = named[entry[1:]]
            return job_ids.get(sibling, self._items[sibling].job_id)

        return {**body, "after": [job(entry) for entry in _after(body)]}

    def name(self, index: int) -> str:
        """The item as its call names it."""
        body = self._items[index].body
        ref = body.get("ref") if isinstance(body, dict) else None
        return f"{MARK}{ref if isinstance(ref, str) else index}"

    def _numbers(self) -> dict[str, int]:
        numbers = {str(index): index for index in range(len(self._items))}
        numbers |= {item.message_id: index for index, item in enumerate(self._items)}
        refs: dict[str, int] = {}
        for index, item in enumerate(self._items):
            ref = item.body.get("ref") if isinstance(item.body, dict) else None
            if not isinstance(ref, str):
                continue
            if ref in refs:
                raise SiblingProblem("invalid", f"items {refs[ref]} and {index} have the same ref {ref!r}")
            refs[ref] = index
        return numbers | refs

    def _number(self, numbers: Mapping[str, int], index: int, name: str) -> int:
        if name not in numbers:
            raise SiblingProblem(
                "unknown-ref",
                f"item {index} is to run after {MARK}{name}, but no job of this call has that ref or number",
                ref=name,
            )
        return numbers[name]

    def _sorted(self) -> list[list[int]]:
        children: list[list[int]] = [[] for _ in self._items]
        missing = [0] * len(self._items)
        for child, named in enumerate(self._parents):
            for parent in set(named.values()):
                children[parent].append(child)
                missing[child] += 1
        generation = [0] * len(self._items)
        order = [index for index, count in enumerate(missing) if not count]
        for parent in order:
            body = self._items[parent].body
            own = generation[parent] + (1 if isinstance(body, dict) and body.get("unique") else 0)
            for child in children[parent]:
                generation[child] = max(generation[child], own)
                missing[child] -= 1
                if not missing[child]:
                    order.append(child)
        if len(order) < len(self._items):
            names = self._cycle(next(index for index, count in enumerate(missing) if count), missing)
            raise SiblingProblem(
                "dependency-cycle", f"these jobs come after each other in a circle: {' -> '.join(names)}", cycle=names
            )
        found: list[list[int]] = [[] for _ in range(max(generation, default=0) + 1)]
        for index in order:
            found[generation[index]].append(index)
        return found

    def _cycle(self, start: int, missing: Sequence[int]) -> list[str]:
        """Names along a circle, the first one again at the end."""
        path: list[int] = []
        while start not in path:
            path.append(start)
            start = next(parent for parent in self._parents[start].values() if missing[parent])
        circle = [start, *reversed(path[path.index(start) + 1 :]), start]
        return [self.name(index) for index in circle]
