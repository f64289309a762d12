"""Filters of job lists as SQL conditions: whoever lists or changes jobs by a filter builds them here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.contracts.job import ListJobs, words_of

# The same expression as in the index on the errors.
WORDS = "to_tsvector('simple', regexp_replace(left(type || ' ' || message, 4000), '[^[:alnum:]]+', ' ', 'g'))"
WANTED = "plainto_tsquery('simple', regexp_replace({}, '[^[:alnum:]]+', ' ', 'g'))"
FAILED_WITH = f"id IN (SELECT job_id FROM job_errors e WHERE e.tenant = jobs.tenant AND {WORDS} @@ {WANTED})"
WAITING_FOR = "id IN (SELECT job_id FROM waiting w WHERE w.tenant = jobs.tenant AND w.reason = {})"
# A job that has become due is still `delayed` until it starts; it does not wait for its time any more.
NOT_DUE = {"delayed": False, "retry": True}


class Conditions:
    """Conditions that all hold, with their values as numbered parameters."""

    def __init__(self, **values: Any) -> None:
        """Starts with equalities: `Conditions(tenant=…)`."""
        self._parts: list[str] = []
        self.values: list[Any] = []
        for column, value in values.items():
            self.add(f"{column} = {{}}", value)

    def add(self, condition: str, value: Any) -> None:
        """Adds a condition with `{}` where the value stands; None leaves it out."""
        if value is not None:
            self.values.append(value)
            self._parts.append(condition.format(f"${len(self.values)}"))

    def add_all(self, conditions: Mapping[str, Any]) -> None:
        """Adds conditions by their text."""
        for condition, value in conditions.items():
            self.add(condition, value)

    def parameter(self, value: Any) -> str:
        """The number of one more parameter."""
        self.values.append(value)
        return f"${len(self.values)}"

    def __str__(self) -> str:
        return " AND ".join(self._parts)


def job_conditions(tenant: str, query: ListJobs) -> Conditions:
    """What the rows of `jobs` fulfil that a list shows, on whatever page."""
    conditions = Conditions(tenant=tenant)
    conditions.add_all(
        {
            "status = {}": query.status.value if query.status else None,
            "queue = {}": query.queue,
            "name = {}": query.name,
            "dead_lettered = {}": query.dead_lettered,
            "created_at >= {}": query.created_after,
            "created_at < {}": query.created_before,
            "coalesce(completed_at, failed_at) >= {}": query.finished_after,
            "coalesce(completed_at, failed_at) < {}": query.finished_before,
            FAILED_WITH: None if query.error is None else " ".join(words_of(query.error)),
        }
    )
    if query.waiting in NOT_DUE:
        conditions.add(
            "status = 'delayed' AND run_at > clock_timestamp() AND (attempts > 0) = {}", NOT_DUE[query.waiting]
        )
    else:
        conditions.add(WAITING_FOR, None if query.waiting is None else query.waiting.replace("-", "_"))
    return conditions
