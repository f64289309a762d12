"""Filters of job lists as SQL conditions: whoever lists or changes jobs by a filter builds them here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from millrace.contracts.job import ListJobs, words_of
from millrace.contracts.job_fields import JobStatus, WaitReason

# The same expression as in the index on the errors.
WORDS = "to_tsvector('simple', regexp_replace(left(type || ' ' || message, 4000), '[^[:alnum:]]+', ' ', 'g'))"
WANTED = "plainto_tsquery('simple', regexp_replace({}, '[^[:alnum:]]+', ' ', 'g'))"
FAILED_WITH = f"id IN (SELECT job_id FROM job_errors e WHERE e.tenant = jobs.tenant AND {WORDS} @@ {WANTED})"
OF_JOB = "stream = 'job:' || jobs.tenant || ':' || jobs.id"
DEPENDENT = f"EXISTS (SELECT FROM dependents WHERE {OF_JOB})"
# That a time has come or the last parent has ended is no event of the job: its row says `delayed` until it starts.
# Whoever shows jobs says `pending` from then on, as of every other job that may run.
DUE = f"status = 'delayed' AND (run_at IS NULL OR run_at <= statement_timestamp()) AND NOT {DEPENDENT}"
STATUS = f"CASE WHEN {DUE} THEN 'pending' ELSE status END"
NOT_DUE = f"status = 'delayed' AND run_at > statement_timestamp() AND NOT {DEPENDENT}"
SET_ASIDE = f"EXISTS (SELECT FROM waiting WHERE {OF_JOB} AND reason = '{{}}')"
# What holds these is not in the rows of the jobs: pausing a queue or a name moves none. Claims have set some aside.
STANDING = """(SELECT stream, tenant, queue, name FROM ready UNION ALL
SELECT stream, tenant, queue, name FROM waiting WHERE reason IN ('circuit_open', 'affinity'))"""
PAUSED = f"""EXISTS (
SELECT FROM {STANDING} r JOIN queue_rules q ON q.tenant = r.tenant AND q.queue = r.queue
 WHERE r.{OF_JOB} AND q.paused)"""
BROKEN = f"""EXISTS (
SELECT FROM {STANDING} r JOIN circuits c ON c.tenant = r.tenant AND c.name = r.name
 WHERE r.{OF_JOB} AND (c.state = 'open' OR c.state = 'half_open' AND c.trials <= 0))"""


class Conditions:
    """Conditions that all hold, with their values as numbered parameters."""

    def __init__(self, **values: Any) -> None:
        """Starts with equalities: `Conditions(tenant=…)`."""
        self._parts: list[str] = []
        self.values: list[Any] = []
        for column, value in values.items():
            self.add(f"{column} = {{}}", value)

    def hold(self, condition: str) -> None:
        """Adds a condition that has no value."""
        self._parts.append(condition)

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
            "queue = {}": query.queue,
            "name = {}": query.name,
            "key = {}": query.key,
            "dead_lettered = {}": query.dead_lettered,
            "created_at >= {}": query.created_after,
            "created_at < {}": query.created_before,
            "coalesce(completed_at, failed_at) >= {}": query.finished_after,
            "coalesce(completed_at, failed_at) < {}": query.finished_before,
            FAILED_WITH: None if query.error is None else " ".join(words_of(query.error)),
        }
    )
    if query.status is not None:
        conditions.hold(shown_as(query.status))
    if query.waiting is not None:
        # Says nothing new, but spares looking at all that have ended.
        conditions.hold("status IN ('pending', 'delayed')")
        conditions.hold(_waits(query.waiting))
    return conditions


def shown_as(status: JobStatus) -> str:
    """What a job fulfils that is shown with this status."""
    match status:
        case JobStatus.PENDING:
            return f"(status = 'pending' OR {DUE})"
        case JobStatus.DELAYED:
            return f"status = 'delayed' AND NOT ({DUE})"
        case _:
            return f"status = '{status.value}'"


def _waits(reason: WaitReason) -> str:
    """What a job fulfils of which `job.why` tells this reason."""
    match reason:
        case "delayed":
            return f"{NOT_DUE} AND attempts = 0"
        case "retry":
            return f"{NOT_DUE} AND attempts > 0"
        case "dependent":
            return DEPENDENT
        case "paused":
            return PAUSED
        case "circuit-open":
            return f"({SET_ASIDE.format('circuit_open')} OR {BROKEN}) AND NOT {PAUSED}"
        case "affinity":
            return f"{SET_ASIDE.format(reason)} AND NOT {BROKEN} AND NOT {PAUSED}"
        case "capped":
            return SET_ASIDE.format(reason)
        case "rate-limited":
            return SET_ASIDE.format("rate_limited")
        case _:
            assert_never(reason)
