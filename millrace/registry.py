"""The handlers that an application has declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from millrace.binding import Binding
from millrace.codecs import Codecs
from millrace.contracts.circuit import CircuitPolicy
from millrace.job_context import JobContext
from millrace.job_middleware import Around
from millrace.job_versions import Versions
from millrace.serializers import Serializer

# Seconds to the next attempt, None for the policy's, False for no other attempt.
Backoff = Callable[[JobContext, Exception], float | bool | None]


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """A job's handler, and the options that its enqueuing takes unless it brings its own.

    Attributes:
        soft_timeout: seconds after which the handler is told that its time is short.
        pool: where a plain function runs.
        versions: of the arguments, of which the handler takes the current one.
        serializer: of arguments and result; None for the application's.
        backoff: says after a failed attempt how long the next one waits, or that there is none.
    """

    name: str
    function: Callable[..., Any]
    binding: Binding
    options: Mapping[str, Any]
    soft_timeout: float | None = None
    backoff: Backoff | None = None
    pool: Literal["thread", "process"] = "thread"
    versions: Versions = field(default_factory=Versions)
    serializer: Serializer | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionDefinition:
    """A durable named subscription and the function that handles its events."""

    name: str
    pattern: str
    function: Callable[[Any], Awaitable[Any] | Any]
    start: str
    priority: int
    max_attempts: int


@dataclass(frozen=True, slots=True)
class ScheduleDefinition:
    """A schedule, the job that it enqueues, and its settings as `Schedules.create` takes them."""

    name: str
    job: str
    settings: Mapping[str, Any]


@dataclass(slots=True)
class Registry:
    """Handlers by name. A name is declared once.

    Attributes:
        circuits: by name of the job, its circuit breaker; the worker declares them.
        rates: by queue and name, how often jobs of the name start there; the worker tells the queues.
        late: what declares more once everything is imported.
    """

    jobs: dict[str, JobDefinition] = field(default_factory=dict)
    subscriptions: dict[str, SubscriptionDefinition] = field(default_factory=dict)
    middleware: list[Around] = field(default_factory=list)
    schedules: dict[str, ScheduleDefinition] = field(default_factory=dict)
    rates: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    circuits: dict[str, CircuitPolicy] = field(default_factory=dict)
    late: list[Callable[[], None]] = field(default_factory=list)
    codecs: Codecs = field(default_factory=Codecs)

    def complete(self) -> None:
        """Declares what is declared late; doing it again changes nothing."""
        for declare in self.late:
            declare()

    def add_job(self, definition: JobDefinition) -> None:
        """Raises:
        ValueError: another function has that name.
        """
        self._refuse_second("job", definition.name, self.jobs.get(definition.name), definition.function)
        if definition.serializer is not None:
            self.codecs.add(definition.serializer)
        self.jobs[definition.name] = definition

    def add_subscription(self, definition: SubscriptionDefinition) -> None:
        """Raises:
        ValueError: another function has that name.
        """
        self._refuse_second(
            "subscription", definition.name, self.subscriptions.get(definition.name), definition.function
        )
        self.subscriptions[definition.name] = definition

    def add_schedule(self, definition: ScheduleDefinition) -> None:
        """Raises:
        ValueError: another schedule has that name.
        """
        if self.schedules.setdefault(definition.name, definition) != definition:
            raise ValueError(f"two schedules are called {definition.name!r}; give one of them a `name`")

    @staticmethod
    def _refuse_second(
        what: str, name: str, known: JobDefinition | SubscriptionDefinition | None, function: Callable[..., Any]
    ) -> None:
        if known is not None and known.function is not function:
            raise ValueError(f"two functions handle the {what} {name!r}: {known.function!r} and {function!r}")
