"""Which jobs come after which, on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.contracts.job_fields import JobStatus, ParentPolicy
from millrace.contracts.wire import Fact, Identifier, Message


class GetGraph(Message):
    """Query `job.graph`: the jobs that a job comes after or that come after it, directly or not.

    Attributes:
        limit: most jobs to tell; those that are the fewest steps away come first.
    """

    job_id: Identifier
    limit: Annotated[int, Field(ge=1, le=2_000)] = 500


class GraphJob(Fact):
    """One job of a graph; a removed one has no name and no status any more."""

    job_id: str
    name: str | None = None
    status: JobStatus | None = None


class GraphLink(Fact):
    """That `child` comes after `parent`, and what follows where the parent fails."""

    parent: str
    child: str
    on_parent_failure: ParentPolicy


class JobGraph(Fact):
    """Answer to `job.graph`.

    Attributes:
        jobs: the asked one first, the others by distance.
        links: between jobs that are told.
        complete: false where there are more jobs than were asked for.
    """

    jobs: tuple[GraphJob, ...]
    links: tuple[GraphLink, ...]
    complete: bool


QUERIES: dict[str, type[Message]] = {"job.graph": GetGraph}
