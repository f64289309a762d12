"""The section `modules.jobs`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from infra.settings_modules import Backoff, Module, Port, Seconds, Section, Switch
from millrace.contracts.circuit import CircuitPolicy
from millrace.contracts.job import Retry
from millrace.contracts.job_result import DEFAULT_MAX_BYTES, MAX_INLINE_BYTES, MAX_RESULT_BYTES
from millrace.contracts.queue import Concurrency, Limit, Order, Rate, Weight
from millrace.contracts.recurrence import known_zone
from millrace.contracts.wire import Name

DEFAULT_QUEUES: dict[str, dict[str, int]] = {
    "default": {"priority": 0, "workers": 4},
    "high_priority": {"priority": 10, "workers": 2},
    "low_priority": {"priority": -10, "workers": 1},
}


def _with_default_queues(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    given = {name: queue if isinstance(queue, dict) else {"workers": queue} for name, queue in value.items()}
    return DEFAULT_QUEUES | {name: DEFAULT_QUEUES.get(name, {}) | queue for name, queue in given.items()}


class Broker(Section):
    """How jobs travel. `built-in` means RabbitMQ where `rabbitmq_url` is set, else the PostgreSQL event bus."""

    type: str = "built-in"
    url: SecretStr | None = None
    queue_prefix: str = "millrace"


class Queue(Section):
    """One queue: what its priority adds to each job's own, and how many jobs a worker runs from it at once.

    The rest is the order and the limits that it has for every tenant until they are configured by command.
    """

    priority: Annotated[int, Field(ge=-1_000, le=1_000)] = 0
    workers: Annotated[int, Field(ge=0, le=10_000)] = 1
    order: Order = "strict"
    aging: Seconds = 60.0
    weights: dict[str, Weight] = Field(default_factory=dict)
    concurrency: Concurrency | None = None
    rate: Rate | None = None
    per_name: dict[Name, Limit] = Field(default_factory=dict)
    per_key: Limit | None = None

    def rules(self) -> dict[str, Any]:
        """Order and limits, as far as they were set."""
        return self.model_dump(include=self.model_fields_set - {"priority", "workers"})


class JobDefaults(Section):
    """What a job gets that does not say otherwise; `timeout` in seconds."""

    max_attempts: Annotated[int, Field(ge=1, le=1_000)] = 3
    backoff: Backoff = Retry()
    timeout: Seconds = 300.0


class NamedDefaults(Section):
    """What jobs of one name get that do not say otherwise; what is left out here comes from `defaults`.

    Attributes:
        timeout: seconds.
        circuit: when jobs of the name pause, in every tenant that has not configured it by command.
    """

    max_attempts: Annotated[int, Field(ge=1, le=1_000)] | None = None
    backoff: Backoff | None = None
    timeout: Seconds | None = None
    circuit: CircuitPolicy | None = None


class TenantShare(Section):
    """What a tenant gets of the workers that it shares with others: so many times what one of weight 1 gets."""

    weight: Weight = 1.0


class Leases(Section):
    """How long a running attempt stays valid without renewal, in seconds."""

    duration: Seconds = 30.0
    unconfirmed: Seconds = 5.0


class Retention(Section):
    """After how many seconds ended jobs leave the read models; a status without a number stays. Their events stay.

    Attributes:
        completed: since the job completed.
        failed: since it joined the dead letters, or was last edited there.
        cancelled: since it was cancelled.
        logs: since a line of a job's log was recorded, whatever became of the job; lines are no events and go for good.
    """

    completed: Seconds | None = None
    failed: Seconds | None = None
    cancelled: Seconds | None = None
    logs: Seconds = 604_800.0

    def ages(self) -> dict[str, float]:
        """Seconds by status, of those that go at all."""
        return self.model_dump(exclude={"logs"}, exclude_none=True)


class Archiving(Section):
    """When the events of removed jobs leave the log for the storage.

    Attributes:
        after: seconds since the job was removed, by retention or by command; None lets them stay for ever.
    """

    after: Seconds | None = None


class Objects(Section):
    """Where archives and large results are.

    Attributes:
        path: a folder that all processes of the service share. With the embedded PostgreSQL its default is `objects` in
            the data folder; with another one there is no storage until it is given.
    """

    type: str = "local"
    path: str | None = None


class Results(Section):
    """Results that are too large for a message and go to the storage.

    Attributes:
        max_bytes: most bytes of JSON of one result, up to 256 MiB; a larger one is refused.
    """

    max_bytes: Annotated[int, Field(ge=MAX_INLINE_BYTES, le=MAX_RESULT_BYTES)] = DEFAULT_MAX_BYTES


class Scheduler(Switch):
    """Delayed and repeated jobs."""

    timezone: Annotated[str, AfterValidator(known_zone)] = "UTC"


class Monitoring(Switch):
    """The port of Prometheus metrics.

    Attributes:
        tenant_label: tells the series of jobs and queues apart by tenant too; everybody who may read metrics sees all.
    """

    metrics_port: Port = 9090
    tenant_label: bool = False


class Jobs(Module):
    """Background jobs."""

    broker: Broker = Broker()
    queues: Annotated[dict[str, Queue], BeforeValidator(_with_default_queues)] = Field(
        default_factory=dict, validate_default=True
    )
    defaults: JobDefaults = JobDefaults()
    names: dict[str, NamedDefaults] = Field(default_factory=dict)
    tenants: dict[Name, TenantShare] = Field(default_factory=dict)
    leases: Leases = Leases()
    retention: Retention = Retention()
    archive: Archiving = Archiving()
    storage: Objects = Objects()
    results: Results = Results()
    scheduler: Scheduler = Scheduler()
    monitoring: Monitoring = Monitoring()

    def vendors(self) -> dict[str, str]:
        """The broker and the storage."""
        return {"jobs.broker.type": self.broker.type, "jobs.storage.type": self.storage.type}
