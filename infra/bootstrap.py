"""The composition root: builds the whole service from settings, and runs the roles that it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from adapters.amqp.bus import AmqpBus
from adapters.amqp.feeder import Feeder
from adapters.amqp.samples import AmqpSamples
from adapters.channels.failover import Failover
from adapters.cloudevents import cloud_event, outgoing
from adapters.postgres.archived_history import ArchivedHistory
from adapters.postgres.batch_queries import BatchQueries
from adapters.postgres.circuits import PostgresCircuits
from adapters.postgres.database import Database
from adapters.postgres.dead_letter_queries import DeadLetterQueries
from adapters.postgres.due_progress import PostgresDueProgress
from adapters.postgres.due_schedules import PostgresDueSchedules
from adapters.postgres.expired_jobs import PostgresExpiredJobs
from adapters.postgres.job_finder import PostgresJobFinder
from adapters.postgres.job_queries import JobQueries
from adapters.postgres.job_stats import JobStatistics
from adapters.postgres.live_tickets import PostgresTickets
from adapters.postgres.log_queries import LogQueries
from adapters.postgres.mapper import EventMapper
from adapters.postgres.notification_queries import NotificationQueries
from adapters.postgres.presence import PostgresPresence
from adapters.postgres.progress_queries import ProgressQueries
from adapters.postgres.projector import Projector
from adapters.postgres.queue_queries import QueueQueries, follow_file, weigh_tenants
from adapters.postgres.schedule_queries import ScheduleQueries
from adapters.postgres.subscription_leases import PostgresSubscriptionLeases
from adapters.postgres.subscription_queries import SubscriptionQueries
from adapters.postgres.subscription_source import PostgresSubscriptionSource
from adapters.postgres.template_queries import TemplateQueries
from adapters.samples import LocalSamples
from adapters.tracing import Tracing
from domain.channels import Channel
from domain.live import Samples
from domain.ports import RecordedEvent
from domain.progress import Window
from domain.tickets import Tickets
from handlers import (
    archive,
    batch,
    bulk,
    circuit,
    event,
    followups,
    inbox,
    job,
    job_logs,
    job_repair,
    notification,
    notification_steps,
    progress,
    progress_family,
    progress_timers,
    queue,
    schedule,
    subscription,
    template,
    timers,
)
from handlers.aggregates import Aggregates
from handlers.archive import Archiver
from handlers.circuit import CircuitWatch
from handlers.gateway import Gateway
from handlers.job import JobPolicy
from handlers.live import Hub, live_event
from handlers.live_topics import LiveEvent
from handlers.notification import NotificationPolicy
from handlers.outcomes import Ended, telling
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from handlers.positions import position_of
from handlers.presence import Presence
from handlers.progress_samples import ProgressSamples
from handlers.progress_timers import ProgressTimers
from handlers.reactions import Reaction, Reactor
from handlers.relay import Relay
from handlers.retention import Retention
from handlers.routes import CommandRoute
from handlers.scheduler import Scheduler
from handlers.service import BehindPosition, Service
from handlers.timers import Timers
from infra.channels import build_channels
from infra.job_policy import job_policy
from infra.migrate import migrate
from infra.notifying import Notifying, notification_policy, notifying_of
from infra.objects import archiver_of, object_store
from infra.settings import Settings
from infra.storage import Storage
from infra.tracking import progress_types
from projections.registry import projections
from projections.schedules import SchedulesProjection

Role = Literal["api", "projector", "relay", "timers"]
ROLES: tuple[Role, ...] = ("api", "projector", "relay", "timers")
INBOX_DAYS = 7
CLOCK_SECONDS = 10.0
CLAIM_POLL_SECONDS = 1.0
BEAT_SECONDS = 1.0
DRAIN_SECONDS = 1.5
LIVE_PAGE = 500
LIVE_POLL_SECONDS = 1.0
log = structlog.get_logger("service")


def public_commands(
    policy: JobPolicy,
    files: queue.Files,
    tracking: dict[str, CommandRoute],
    notifying: NotificationPolicy | None,
    timezone: str = "UTC",
) -> dict[str, CommandRoute]:
    """Every command that a caller may send and one aggregate decides.

    Args:
        files: settings of queues from the configuration file.
        tracking: commands about progress.
        notifying: how notifications are sent; None where they are switched off.
        timezone: of schedules that name none.
    """
    notifications: dict[str, CommandRoute] = {}
    if notifying is not None:
        notifications = {
            **notification.command_routes(notifying),
            **inbox.command_routes(),
            **template.command_routes(),
        }
    return {
        **job.command_routes(policy),
        **job_repair.command_routes(),
        **queue.command_routes(files),
        **circuit.command_routes(),
        **schedule.command_routes(timezone),
        **batch.command_routes(),
        **tracking,
        **notifications,
        **event.command_routes(),
        **subscription.command_routes(),
    }


@dataclass(slots=True)
class System:
    """The running service: a gateway for the entry points, and the loops of its roles."""

    settings: Settings
    storage: Storage
    gateway: Gateway
    pipeline: Pipeline
    scheduler: Scheduler
    archiver: Archiver | None
    notifying: Notifying | None
    hub: Hub
    presence: Presence
    tickets: Tickets
    roles: Sequence[Role]
    samples: Samples
    circuits: CircuitWatch
    channels: Mapping[str, Failover]
    progress_samples: ProgressSamples
    reactions: Sequence[Reaction] = ()
    bus: AmqpBus | None = None
    tracing: Tracing | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Starts the loops of the roles; each goes on whatever happens to what it depends on."""
        for name, run in self._loops():
            self._tasks.append(asyncio.create_task(run(), name=name))

    async def stop(self) -> None:
        if self.bus is not None:
            await self.bus.stop()
        if self.notifying is not None:
            await self.notifying.deliverer.drain(DRAIN_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self.channels.values():
            await channel.close()
        await self.progress_samples.record(self.pipeline)
        await self.storage.stop()

    def _loops(self) -> list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]]:
        storage = self.storage
        loops: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = [
            ("clock", self._watch_clock),
            ("circuits", self.circuits.run),
        ]
        tracking = self.settings.modules.progress
        if "api" in self.roles:
            loops += [("claims", self._look_for_work), ("beat", self._beat)]
            if tracking.enabled:
                loops.append(("samples", lambda: self.progress_samples.run(self.pipeline)))
            loops += [("live", self.hub.run), ("presence", self.presence.run)]
        if "projector" in self.roles:
            for projection in projections():
                traced = self.tracing.projection(projection) if self.tracing else projection
                projector = Projector(
                    traced, storage.store, storage.readers, storage.doorbell, storage.positions.advanced
                )
                loops.append((f"projector:{projection.name}", projector.run))
            for reaction in self.reactions:
                reactor = Reactor(
                    reaction,
                    storage.store,
                    storage.readers,
                    storage.doorbell,
                    self.pipeline,
                    storage.positions.advanced,
                )
                loops.append((f"reaction:{reaction.name}", reactor.run))
        if "relay" in self.roles and self.bus is not None:
            relay = Relay(
                storage.store,
                self.tracing.publisher(self.bus.publisher) if self.tracing else self.bus.publisher,
                storage.readers,
                storage.doorbell,
                self._outgoing,
                storage.positions.advanced,
            )
            source = PostgresSubscriptionSource(storage.pool, storage.store)
            feeder = Feeder(self.bus.publishing, self.bus.sender, source, self._outgoing, storage.doorbell)
            loops += [("relay", relay.run), ("feeder", lambda: self._lead("feeder", feeder.run))]
        if "timers" in self.roles:
            timer = Timers(storage.queue, self.pipeline, self._forget)
            if ages := self.settings.modules.jobs.retention.ages():
                retention = Retention(PostgresExpiredJobs(storage.pool), self.pipeline, ages)
                loops.append(("retention", retention.run))
            if self.archiver is not None:
                loops.append(("archive", self.archiver.run))
            loops.append(("timers", timer.run))
            if tracking.enabled:
                due = PostgresDueProgress(storage.pool)
                loops.append(("progress", ProgressTimers(due, self.pipeline, tracking.cleanup.ages()).run))
            if (notifying := self.notifying) is not None:
                loops += [
                    ("deliverer", lambda: self._lead("deliverer", notifying.deliverer.run)),
                    ("notification retention", notifying.retention.run),
                ]
            if self.settings.modules.jobs.scheduler.enabled:
                loops.append(("scheduler", self.scheduler.run))
        return loops

    def _outgoing(self, recorded: RecordedEvent) -> Any:
        return outgoing(recorded, self.storage.epoch)

    async def _beat(self) -> None:
        """While no process that workers talk to can say that they reach it, nobody's lease lapses."""

        async def once() -> None:
            if self.bus is None or self.bus.healthy:
                await self.storage.queue.beat()

        await persistently("beat", once, pause=BEAT_SECONDS)

    async def _lead(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        async def lead() -> None:
            async with self.storage.readers.leadership(name):
                await run()

        await persistently(name, lead)

    async def _look_for_work(self) -> None:
        """Held claims look again each second, so that a lost doorbell costs no more than that."""
        await persistently("claims", self.storage.queue.look, pause=CLAIM_POLL_SECONDS)

    async def _watch_clock(self) -> None:
        async def look() -> None:
            await asyncio.sleep(CLOCK_SECONDS)
            await self.storage.clock.look(self.storage.pool)

        await persistently("clock", look, pause=0)

    async def _forget(self) -> int:
        await self.storage.queue.tidy()
        status = await self.storage.pool.execute(
            "DELETE FROM inbox WHERE recorded_at < clock_timestamp() - make_interval(days => $1)", INBOX_DAYS
        )
        await self.storage.job_logs.forget()
        return int(status.rpartition(" ")[2])


async def build(
    settings: Settings,
    dsn: str,
    roles: Sequence[Role] = ROLES,
    *,
    reactions: Sequence[Reaction] = (),
    channels: Sequence[Channel] = (),
    mapper: EventMapper | None = None,
    measured: Callable[[Gateway, frozenset[str]], Gateway] | None = None,
    tracing: Tracing | None = None,
    ended: Callable[[Ended], None] = lambda _: None,
) -> System:
    """Migrates the database and builds the service on it; `start` then runs the roles.

    Args:
        dsn: PostgreSQL, whether a server of its own or the embedded one.
        reactions: process managers besides the built-in ones.
        channels: ways to reach users, besides those that the settings name.
        mapper: how events are stored, for compression and encryption.
        measured: wraps the gateway that the entry points use, given the names it knows.
        ended: told of each attempt that has ended, in the process that recorded it.
        tracing: puts spans around commands, appends, the relay and projections.
    """
    configured = build_channels(settings)
    database = Database(dsn)
    connection = await database.connect(command_timeout=None)
    try:
        applied = await migrate(connection, projections())
    finally:
        await connection.close()
    if applied:
        log.info("migrated", action="migrated", migrations=applied)
    leases = settings.modules.jobs.leases
    storage = await Storage.started(database, mapper or EventMapper(), leases)
    jobs = settings.modules.jobs
    policy = job_policy(jobs)
    files = {name: rules for name, section in jobs.queues.items() if (rules := section.rules())}
    await follow_file(storage.commits, files)
    await weigh_tenants(storage.commits, {name: share.weight for name, share in jobs.tenants.items()})
    through: dict[str, Channel] = {**configured, **{channel.name: channel for channel in channels}}
    broker = None
    if settings.rabbitmq_url is not None and {"api", "relay"} & set(roles):
        broker = settings.rabbitmq_url.get_secret_value()
    carrier = None if broker is None else AmqpSamples(broker)
    samples: Samples = carrier or LocalSamples()
    progress_samples = ProgressSamples(samples, Window(**settings.modules.progress.sampling.model_dump()))
    notifying = notification_policy(settings, through)
    types = progress_types(settings.modules.progress)
    tracks, notifies = settings.modules.progress.enabled, settings.modules.notifications.enabled
    tracking = progress.command_routes(progress_samples, types) if tracks else {}
    commands = public_commands(policy, files, tracking, notifying if notifies else None, jobs.scheduler.timezone)
    starting_runs, starts = schedule.jobs_of_runs(policy)
    circuit_policies = {name: own.circuit for name, own in jobs.names.items() if own.circuit is not None}
    # Commands that only the service gives, and readers of the log, stay where a module is off: what its past still
    # brings is done, and nothing waits for a reader that stands still.
    internal = {
        **timers.command_routes(),
        **followups.command_routes(),
        **job_repair.internal_routes(),
        **archive.command_routes(),
        **batch.internal_routes(policy),
        **circuit.internal_routes(circuit_policies),
        **queue.internal_routes(),
        **schedule.internal_routes(),
        **progress.internal_routes(progress_samples, types),
        **progress_family.internal_routes(),
        **progress_timers.internal_routes(),
        **notification_steps.internal_routes(),
        **starts,
    }
    aggregates = Aggregates(storage.store)

    def counted(attempt: Ended) -> None:
        ended(attempt)
        watch.count(attempt)

    storage.queue.observe(aggregates.advance)
    store = tracing.store(storage.store) if tracing else storage.store
    pipeline = Pipeline({**commands, **internal}, store, aggregates, storage.clock, storage.epoch, telling(counted))

    async def wait_for(reader: str, token: str) -> None:
        wanted = position_of(token, storage.epoch, await storage.store.head())
        reached = await storage.positions.reached(reader, wanted)
        if reached < wanted:
            raise BehindPosition(reader, token, f"{storage.epoch}-{reached}")

    circuits = PostgresCircuits(storage.commits, storage.pool, circuit_policies)
    watch = CircuitWatch(circuits, pipeline, circuit_policies)
    objects = object_store(settings)
    archiver = archiver_of(storage, objects, pipeline, mapper or EventMapper(), jobs.archive.after)
    queues = QueueQueries(storage.pool, storage.store, files)
    operations = {
        **job.operation_routes(storage.queue, storage.store, leases.duration, leases.unconfirmed),
        **job_logs.operation_routes(storage.job_logs),
        **bulk.operation_routes(PostgresJobFinder(storage.pool, storage.store, storage.positions), pipeline),
        **subscription.operation_routes(PostgresSubscriptionLeases(storage.pool)),
        **queue.operation_routes(queues, pipeline),
    }
    tracked = ProgressQueries(storage.pool, storage.store, storage.positions, storage.clock)
    notified = {
        **NotificationQueries(storage.pool, storage.store, storage.positions).routes(),
        **TemplateQueries(storage.pool, storage.store, notifying.folder).routes(),
    }
    queries = {
        **JobQueries(storage.pool, storage.store, storage.positions, leases.duration).routes(),
        **JobStatistics(storage.pool, mapper or EventMapper(), leases.duration).routes(),
        **DeadLetterQueries(storage.pool, storage.store, storage.positions).routes(),
        **job_logs.query_routes(storage.job_logs),
        **BatchQueries(storage.pool).routes(),
        **ScheduleQueries(storage.pool, storage.store, storage.positions).routes(),
        **SubscriptionQueries(storage.pool, storage.store, storage.positions, storage.epoch).routes(),
        **(notified if notifies else {}),
        **queues.routes(),
        **circuits.routes(),
        **(tracked.routes() if tracks else {}),
        **LogQueries(storage.store, storage.doorbell, storage.epoch, ArchivedHistory(storage.store, objects)).routes(),
    }
    gateway: Gateway = Service(commands, operations, queries, pipeline, wait_for)
    known = frozenset([*commands, *operations, *queries])
    if measured is not None:
        gateway = measured(gateway, known)
    if tracing is not None:
        gateway = tracing.gateway(gateway, known)
    bus = None
    if broker is not None:
        bus = AmqpBus(broker, gateway, settings.amqp_claims(), carrier, events_log=settings.events_log)
        await bus.start(serving="api" in roles)
    scheduler = Scheduler(
        PostgresDueSchedules(storage.pool), pipeline, lambda position: wait_for(SchedulesProjection.name, position)
    )

    async def following(position: int) -> list[LiveEvent]:
        await storage.doorbell.wait(position, LIVE_POLL_SECONDS)
        page = await storage.store.read(position, LIVE_PAGE)
        return [live_event(recorded, lambda one: cloud_event(one, storage.epoch)) for recorded in page]

    hub = Hub(lambda body, context: gateway.query("log.read", body, context), following, samples, storage.epoch)
    presence = Presence(PostgresPresence(storage.pool))
    return System(
        settings=settings,
        storage=storage,
        gateway=gateway,
        pipeline=pipeline,
        scheduler=scheduler,
        archiver=archiver,
        notifying=notifying_of(settings, storage, pipeline, through, notifying, wait_for) if notifies else None,
        channels=configured,
        hub=hub,
        presence=presence,
        tickets=PostgresTickets(storage.pool),
        roles=roles,
        samples=samples,
        circuits=watch,
        progress_samples=progress_samples,
        reactions=(starting_runs, progress_family.reaction(), *reactions),
        bus=bus,
        tracing=tracing,
    )
