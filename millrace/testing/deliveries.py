"""Delivers events to the application's subscriptions, one after another, with retries by the virtual clock."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from millrace.binding import Binding
from millrace.cause import CAUSE, Cause
from millrace.contracts.wire import Accepted, Context
from millrace.errors import NonRetryable, error_from
from millrace.events import Event
from millrace.ids import uuid7
from millrace.registry import SubscriptionDefinition
from millrace.testing.log import ADVANCED, Recorded, Stream
from millrace.testing.subscription_state import SubscriptionState
from millrace.worker_outcomes import clean
from millrace.worker_subscriptions import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, MAX_ERROR_CHARS
from millrace.worker_threads import Threads

if TYPE_CHECKING:
    from millrace.testing.app import MillraceTest


@dataclass(slots=True)
class _Failed:
    position: int
    attempts: int
    again_at: datetime


class Deliveries:
    """The subscriptions of one application, in its registry, and how far they have got."""

    def __init__(self, app: MillraceTest) -> None:
        self._app, self._memory = app, app.memory
        self._passed: dict[str, int] = {}
        self._failed: dict[str, _Failed] = {}

    def declare(self) -> None:
        """Creates the subscriptions that are new.

        Raises:
            Invalid: a pattern or another value is not acceptable.
        """
        for definition in self._app.registry.subscriptions.values():
            if self._subscription(definition.name) is None:
                self._execute(
                    "create",
                    name=definition.name,
                    pattern=definition.pattern,
                    start=definition.start,
                    priority=definition.priority,
                    max_attempts=definition.max_attempts,
                )

    async def deliver_one(self, threads: Threads) -> bool:
        """Delivers one event that is due, of the subscription with the highest priority; false when there is none."""
        self.declare()
        for definition in sorted(self._app.registry.subscriptions.values(), key=lambda each: -each.priority):
            recorded = self._next(definition)
            if recorded is not None:
                await self._handle(definition, recorded, threads)
                return True
        return False

    def next_due(self) -> datetime | None:
        """When the next event that failed is tried again."""
        return min((failed.again_at for failed in self._failed.values()), default=None)

    def _next(self, definition: SubscriptionDefinition) -> Recorded | None:
        subscription = self._subscription(definition.name)
        failed = self._failed.get(definition.name)
        waits = failed is not None and failed.again_at > self._memory.clock.now()
        if subscription is None or not subscription.is_active or waits:
            return None
        place = max(subscription.place, self._passed.get(definition.name, 0))
        return next(self._memory.log.matching(self._app.settings.tenant, definition.pattern, place), None)

    async def _handle(self, definition: SubscriptionDefinition, recorded: Recorded, threads: Threads) -> None:
        name, position = definition.name, recorded.position
        event = Event.model_validate(from_json(to_json(self._memory.log.cloud_event(recorded))))
        error = await self._call(definition, event, threads)
        failed = self._failed.pop(name, None)
        attempts = (failed.attempts if failed is not None and failed.position == position else 0) + 1
        if error is None:
            self._passed[name] = position
            # An acknowledgement is an event itself: acknowledging those would never end.
            if recorded.event_type != ADVANCED:
                self._execute("acknowledge", name=name, position=event.position)
        elif isinstance(error, NonRetryable) or attempts >= definition.max_attempts:
            text = clean(f"{type(error).__name__}: {error}")[:MAX_ERROR_CHARS]
            self._execute("park", name=name, position=event.position, event_id=event.id, error=text, attempts=attempts)
        else:
            wait = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** (attempts - 1))
            self._failed[name] = _Failed(position, attempts, self._memory.clock.now() + timedelta(seconds=wait))

    async def _call(self, definition: SubscriptionDefinition, event: Event, threads: Threads) -> Exception | None:
        token = CAUSE.set(Cause(event.correlationid, event.id, event.traceparent))
        try:
            if Binding(definition.function).is_async:
                await definition.function(event)
            else:
                name = next(iter(inspect.signature(definition.function).parameters))
                await threads.run(definition.function, {name: event})
        except Exception as error:
            return error
        finally:
            CAUSE.reset(token)
        return None

    def _subscription(self, name: str) -> SubscriptionState | None:
        state = self._memory.log.states.get(Stream("subscription", self._app.settings.tenant, name))
        return state if isinstance(state, SubscriptionState) else None

    def _execute(self, command: str, **body: Any) -> None:
        context = Context(self._app.settings.tenant, uuid7(), company=self._app.settings.company)
        reply = self._memory.execute(f"subscription.{command}", body, context)
        if not isinstance(reply, Accepted):
            raise error_from(reply.to_wire()["error"])
