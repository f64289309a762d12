"""The `modules:` tree in its one canonical shape; other spellings are translated in `settings_aliases`."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from infra.settings_vendors import require_vendor
from millrace.contracts.job import Retry
from millrace.contracts.queue import Concurrency, Limit, Order, Rate, Weight
from millrace.contracts.wire import Name

Seconds = Annotated[float, Field(gt=0, le=10 * 365 * 86_400)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Channel = Literal["in-app", "email", "push", "sms", "webhook"]

DAY = 86_400
DEFAULT_QUEUES: dict[str, dict[str, int]] = {
    "default": {"priority": 0, "workers": 4},
    "high_priority": {"priority": 10, "workers": 2},
    "low_priority": {"priority": -10, "workers": 1},
}


class Section(BaseModel):
    """Base of every part of the settings: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _known_zone(name: str) -> str:
    # a minimal system has no list of time zones
    if name != "UTC" and name not in available_timezones():
        raise ValueError("is not an IANA time zone")
    return name


def _policy(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def _with_default_queues(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    given = {name: queue if isinstance(queue, dict) else {"workers": queue} for name, queue in value.items()}
    return DEFAULT_QUEUES | {name: DEFAULT_QUEUES.get(name, {}) | queue for name, queue in given.items()}


class Switch(Section):
    """Something that is on or off."""

    enabled: bool = True


class Module(Section):
    """Base of the modules. A module whose section is present is enabled unless the section says otherwise."""

    enabled: bool = True

    def vendors(self) -> dict[str, str]:
        """The vendor chosen at each replaceable part in use, by its key below `modules`."""
        return {}

    def require_supported(self) -> tuple[str, ...]:
        """Return when an enabled module can be composed with the vendors it names: notices for the log.

        Raises:
            UnsupportedVendor: one of them is neither built in nor an installed adapter.
        """
        if not self.enabled:
            return ()
        answers = [require_vendor(key, vendor) for key, vendor in self.vendors().items()]
        return tuple(notice for notice in answers if notice is not None)


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
    backoff: Annotated[Retry, BeforeValidator(_policy)] = Retry()
    timeout: Seconds = 300.0


class NamedDefaults(Section):
    """What jobs of one name get that do not say otherwise; what is left out here comes from `defaults`.

    Attributes:
        timeout: seconds.
    """

    max_attempts: Annotated[int, Field(ge=1, le=1_000)] | None = None
    backoff: Annotated[Retry, BeforeValidator(_policy)] | None = None
    timeout: Seconds | None = None


class TenantShare(Section):
    """What a tenant gets of the workers that it shares with others: so many times what one of weight 1 gets."""

    weight: Weight = 1.0


class Leases(Section):
    """How long a running attempt stays valid without renewal, in seconds."""

    duration: Seconds = 30.0
    unconfirmed: Seconds = 5.0


class Retention(Section):
    """After how many seconds ended jobs leave the read models; a status without a number stays. The log keeps all.

    Attributes:
        completed: since the job completed.
        failed: since it joined the dead letters, or was last edited there.
        cancelled: since it was cancelled.
    """

    completed: Seconds | None = None
    failed: Seconds | None = None
    cancelled: Seconds | None = None

    def ages(self) -> dict[str, float]:
        """Seconds by status, of those that go at all."""
        return {name: seconds for name, seconds in self.model_dump().items() if seconds is not None}


class Scheduler(Switch):
    """Delayed and repeated jobs."""

    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"


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
    scheduler: Scheduler = Scheduler()
    monitoring: Monitoring = Monitoring()

    def vendors(self) -> dict[str, str]:
        """The broker."""
        return {"jobs.broker.type": self.broker.type}


class Storage(Switch):
    """Where a module's read model is."""

    type: str = "postgresql"
    url: SecretStr | None = None
    table: str | None = None


class Cached(Switch):
    """A cache in front of something; `ttl` in seconds."""

    ttl: Seconds = 3_600.0


class Cleanup(Switch):
    """How long ended progresses are kept, in seconds."""

    retain_completed: Seconds = 1.0 * DAY
    retain_failed: Seconds = 7.0 * DAY

    def ages(self) -> dict[str, float]:
        """Seconds by status; what was cancelled is kept like what has failed."""
        if not self.enabled:
            return {}
        return {"completed": self.retain_completed, "failed": self.retain_failed, "cancelled": self.retain_failed}


class Realtime(Switch):
    """Live updates over a WebSocket."""

    websocket_url: str = "ws://localhost:8000/ws/progress"


class Sampling(Section):
    """Which updates are recorded: those that come `seconds` after the last event, or that are `percent` ahead of it.

    The last one is recorded within a second in any case; stages and ends always are.

    Attributes:
        percent: of the whole.
    """

    seconds: Seconds | None = 1.0
    percent: Annotated[float, Field(gt=0, le=100)] | None = None


class Progress(Module):
    """Progress of long work."""

    storage: Storage = Storage()
    cache: Cached = Cached()
    cleanup: Cleanup = Cleanup()
    realtime: Realtime = Realtime()
    sampling: Sampling = Sampling()

    def vendors(self) -> dict[str, str]:
        """The read model's database."""
        return {"progress.storage.type": self.storage.type}


class NotificationChannel(Switch):
    """One way to reach a user."""

    provider: str | None = None
    api_key: SecretStr | None = None
    from_address: str | None = None
    template_dir: str | None = None
    credentials_path: str | None = None


def _inbox_only() -> dict[Channel, NotificationChannel]:
    return {"in-app": NotificationChannel()}


class WebSocket(Switch):
    """The WebSocket of the inbox."""

    path: str = "/ws/notifications"
    cors_origins: tuple[str, ...] = ()


class InboxRetention(Section):
    """How long notifications are kept, in seconds."""

    read: Seconds = 30.0 * DAY
    unread: Seconds = 90.0 * DAY


class Templates(Section):
    """Folder of templates."""

    dir: str = "./templates/notifications"


def _delivery_backoff() -> Retry:
    return Retry(delay=5.0)


class DeliverySettings(Section):
    """How notifications are sent through each channel.

    Attributes:
        max_attempts: how often one is tried.
        timeout: seconds that an attempt may take.
        concurrency: attempts at the same time, for each channel.
    """

    max_attempts: Annotated[int, Field(ge=1, le=1_000)] = 8
    backoff: Annotated[Retry, BeforeValidator(_policy)] = Field(default_factory=_delivery_backoff)
    timeout: Seconds = 30.0
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 16


class Notifications(Module):
    """Messages to users."""

    storage: Storage = Storage()
    channels: dict[Channel, NotificationChannel] = Field(default_factory=_inbox_only)
    websocket: WebSocket = WebSocket()
    retention: InboxRetention = InboxRetention()
    templates: Templates = Templates()
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)

    def vendors(self) -> dict[str, str]:
        """The read model's database and the provider of each enabled channel that names one."""
        providers = {
            f"notifications.channels.{name}.provider": channel.provider
            for name, channel in self.channels.items()
            if channel.enabled and channel.provider is not None
        }
        return {"notifications.storage.type": self.storage.type} | providers


class ObjectStorage(Section):
    """Where exported files are."""

    type: str = "local"
    path: str = "./exports"
    bucket: str | None = None
    region: str | None = None
    public_url: str | None = None


class ExportFormat(Switch):
    """One file format."""

    pretty: bool = False
    template_dir: str | None = None


class ExportJobs(Section):
    """Limits of one export: seconds and bytes."""

    timeout: Seconds = 300.0
    max_size: Annotated[int, Field(ge=1)] = 1_073_741_824


class Downloads(Section):
    """Links to exported files; `ttl` in seconds."""

    ttl: Seconds = 1.0 * DAY
    token_required: bool = False


class Exports(Module):
    """Documents made from data."""

    storage: ObjectStorage = ObjectStorage()
    formats: dict[str, ExportFormat] = Field(default_factory=dict)
    jobs: ExportJobs = ExportJobs()
    downloads: Downloads = Downloads()

    def vendors(self) -> dict[str, str]:
        """The object storage."""
        return {"exports.storage.type": self.storage.type}
