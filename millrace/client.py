"""`Millrace`: an application's handle on the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from millrace.circuits import Circuits
from millrace.contracts.wire import DEFAULT_TENANT
from millrace.dead_letters import DeadLetters
from millrace.endings import Endings
from millrace.events import Event, EventStream
from millrace.jobs import JobQueue
from millrace.link import Answer, Link
from millrace.notifications import Notifications
from millrace.progress import ProgressTracker
from millrace.queues import Queues
from millrace.registry import Registry, SubscriptionDefinition
from millrace.schedule_decorators import ScheduleDecorators
from millrace.serializers import Serializer, serializer_of
from millrace.settings import Settings, settings_from
from millrace.subscriptions import Subscriptions
from millrace.transport import Transport, transport_for

if TYPE_CHECKING:
    from millrace.sync import SyncMillrace

F = TypeVar("F", bound=Callable[..., Any])


class Millrace:
    """Enqueues jobs, follows events, and declares the handlers that workers run.

    Making one does no I/O: it connects with the first message, anew in each event loop that it is used from. It can be
    shared by any number of tasks. Leaving its `async with` block, or `close`, gives the connection up; the next message
    would make a new one.

    Args:
        url: `http(s)://…` or `amqp(s)://…`; default `MILLRACE_URL`, else `http://localhost:8000`.
        tenant: owner of everything that is sent and read.
        company: subdivision of the tenant.
        api_key: default `MILLRACE_API_KEY`; HTTP only, RabbitMQ has its own users.
        actor: the person on whose behalf this client acts.
        timeout: seconds within which a message is answered, repeats included, before an error is raised.
        transport: makes the transport instead of the URL.
        serializer: of the arguments and results of jobs that have none of their own: `json`, `typed`, or an object.

    Raises:
        ValueError: an unknown serializer, or a tenant or company with other characters than `[A-Za-z0-9_-]`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        tenant: str = DEFAULT_TENANT,
        company: str | None = None,
        api_key: str | None = None,
        actor: str | None = None,
        timeout: float = 30.0,
        transport: Callable[[Settings], Transport] | None = None,
        serializer: Serializer | str = "json",
    ) -> None:
        self.settings = settings_from(url, tenant, company, actor, api_key, timeout)
        self.registry = Registry()
        self.registry.codecs.default = serializer_of(serializer)
        self.registry.codecs.add(self.registry.codecs.default)
        self.jobs = JobQueue(self)
        self.dead_letters = DeadLetters(self)
        self.queues = Queues(self)
        self.circuits = Circuits(self)
        self.progress = ProgressTracker(self)
        self.subscriptions = Subscriptions(self)
        self.notifications = Notifications(self)
        self.endings = Endings(self)
        self.job = self.jobs.job
        self.handler = self.jobs.handler
        self.worker = self.jobs.worker
        scheduling = ScheduleDecorators(self)
        self.cron, self.every = scheduling.cron, scheduling.every
        self._make_transport = transport or _transport
        self._link: tuple[asyncio.AbstractEventLoop, Link] | None = None

    @property
    def link(self) -> Link:
        """The connection of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._link is None or self._link[0] is not loop:
            self._link = loop, Link(self.settings, self._make_transport(self.settings))
        return self._link[1]

    async def execute(self, command: str, body: Mapping[str, Any], *, message_id: str | None = None) -> Answer:
        """Sends any command by name (`job.cancel`); returns its result and the position of what it recorded.

        Raises:
            Refused: the service will not do it.
            Unavailable: it was not done.
            OutcomeUnknown: it may have been; repeating with the same `message_id` is safe.
        """
        return await self.link.execute(command, body, message_id=message_id)

    async def query(
        self, query: str, body: Mapping[str, Any], *, min_position: str | None = None, hold: float = 0.0
    ) -> dict[str, Any]:
        """Asks any query by name (`log.history`).

        Args:
            min_position: what is read must have come this far.
            hold: seconds that the query itself asks the service to wait.

        Raises:
            Refused: there is no answer.
            Unavailable: the service could not be reached in time.
        """
        return await self.link.query(query, body, min_position=min_position, hold=hold)

    def events(self, pattern: str = "#", after: str = "head") -> EventStream:
        """Every event that matches, in order, exactly once, without end.

        Args:
            pattern: topic pattern over event types: `job.#`, `*.completed`.
            after: position token of the last event seen, `beginning`, or `head` for those recorded from now on.
        """
        return EventStream(self, pattern, after)

    async def publish(
        self,
        event_type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        tenant_id: str | None = None,
        company_id: str | None = None,
        message_id: str | None = None,
    ) -> str:
        """Stores one of the application's own events and returns its id; it is durable and will be delivered.

        Raises:
            Invalid: the type has fewer than two words, or begins with one of Millrace's own modules.
        """
        link = self.link
        body = {"event_type": event_type, "payload": dict(payload or {})}
        origin = link.origin(tenant_id, company_id)
        answer = await link.execute("event.publish", body, origin=origin, message_id=message_id)
        event_id: str = answer.result["event_id"]
        return event_id

    def on(
        self,
        pattern: str,
        *,
        name: str | None = None,
        priority: int = 5,
        max_attempts: int = 5,
        start: str = "head",
    ) -> Callable[[F], F]:
        """Declares a durable named subscription; the worker delivers its events to the function.

        Events come one after another, at least once: dedupe by `event.id` where that matters. One that fails is tried
        again after growing waits and set aside after `max_attempts`, for `app.subscriptions` to show.

        Args:
            name: what its place in the log is kept under; default the function's module and name.
            start: where a new subscription begins: `head`, `beginning` or a position token.

        Raises:
            ValueError: another function has the name.
        """

        def declare(function: F) -> F:
            own_name = name or f"{function.__module__}.{function.__qualname__}"
            self.registry.add_subscription(
                SubscriptionDefinition(own_name, pattern, function, start, priority, max_attempts)
            )
            return function

        return declare

    async def history(self, kind: str, id: str, *, after_version: int = 0) -> list[Event]:
        """The events of one aggregate, oldest first, at most 1,000 after a version."""
        answer = await self.query("log.history", {"kind": kind, "id": id, "after_version": after_version})
        return [Event.model_validate(event) for event in answer["events"]]

    async def state(self, kind: str, id: str, *, at: str | int | None = None) -> dict[str, Any]:
        """One aggregate as it is, or as it was at a version or a time (ISO 8601)."""
        body = {"kind": kind, "id": id} if at is None else {"kind": kind, "id": id, "at": str(at)}
        return await self.query("log.state", body)

    async def why(self, id: str) -> list[Event]:
        """Every event that shares the aggregate's correlation: its causes and effects."""
        answer = await self.query("log.why", {"id": id})
        return [Event.model_validate(event) for event in answer["events"]]

    def sync(self) -> SyncMillrace:
        """The same application for code without an event loop: every method blocks until it is done."""
        from millrace.sync import SyncMillrace

        return SyncMillrace(self)

    def twin(self) -> Millrace:
        """Another client with the same settings and handlers and a connection of its own."""
        twin = Millrace(transport=self._make_transport)
        twin.settings, twin.registry = self.settings, self.registry
        return twin

    async def close(self) -> None:
        """Ends the subscriptions to progress and gives up the connection of the running event loop."""
        self.progress.unsubscribe_all()
        link, self._link = self._link, None
        if link is not None and link[0] is asyncio.get_running_loop():
            await link[1].close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _transport(settings: Settings) -> Transport:
    return transport_for(settings.url, settings.api_key)
