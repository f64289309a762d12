"""Sends what is due by the virtual clock: into a list, where tests find it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from millrace.contracts import digest_text
from millrace.contracts import notification_events as events
from millrace.contracts.notification_plan import BUILT_IN, objection, quiet_until, read_meanwhile
from millrace.contracts.rendering import Text, render
from millrace.contracts.wire import Fact, derived_id
from millrace.testing.clock import VirtualClock
from millrace.testing.log import MemoryLog, Origin, Stream
from millrace.testing.notification_decisions import unavailable
from millrace.testing.notification_state import HANDED_OVER, NotificationState, Step
from millrace.testing.notifications import KIND, MemoryNotifications
from millrace.testing.refusals import Refusal
from millrace.testing.templates import MemoryTemplates

PROVIDER = "memory"
SECONDS_ELSEWHERE = 60.0
Found = tuple[Stream, NotificationState]


class MemoryDeliveries:
    """Whatever is due is sent at once, and every send succeeds.

    Attributes:
        outbox: what was sent, oldest first: `channel, address, user_id, title, message, notification_id` and more.
    """

    def __init__(
        self, log: MemoryLog, clock: VirtualClock, notifications: MemoryNotifications, templates: MemoryTemplates
    ) -> None:
        self._log, self._clock, self._notifications, self._templates = log, clock, notifications, templates
        self.outbox: list[dict[str, Any]] = []

    def deliver_due(self) -> None:
        """Sends, sums up and wakes what is due now."""
        now = self._clock.now()
        for stream, state in list(self._notifications.all()):
            if state.snoozed_until is not None and state.snoozed_until <= now and not state.cancelled:
                self._record(stream, [events.NotificationWoken(user_id=state.content["user_id"])])
            if state.inbox_read_at is not None and state.read_at is None:
                self._record(stream, [events.NotificationRead(user_id=state.content["user_id"])])
        while work := next(self._due(now), None):
            stream, state, channel, step = work
            if step.status == "deferred":
                self._collect(stream, state, channel, now)
            else:
                self._send(stream, state, channel, step, now)

    def next_due(self, tenant: str) -> datetime | None:
        """When something of the tenant is due next."""
        times = [
            time
            for _, state in self._notifications.all(tenant)
            for time in (
                None if state.cancelled else state.snoozed_until,
                *(step.due_at for step in state.steps.values() if step.pending),
            )
            if time is not None
        ]
        return min(times, default=None)

    def _due(self, now: datetime) -> Iterator[tuple[Stream, NotificationState, str, Step]]:
        for stream, state in self._notifications.all():
            for channel, step in state.steps.items():
                if step.pending and step.due_at is not None and step.due_at <= now:
                    yield stream, state, channel, step

    def _send(self, stream: Stream, state: NotificationState, channel: str, step: Step, now: datetime) -> None:
        throttle = state.content["throttle"]
        if throttle is not None and not state.content["critical"]:
            sent = self._sent_since(stream.tenant, state, channel, throttle, now)
            if sent >= throttle["limit"]:
                detail = f"{sent} with key {throttle['key']} were sent within {throttle['per']:g} s"
                self._suppress(stream, channel, "throttled", detail)
                return
        attempt = step.attempts + 1
        if channel not in BUILT_IN:
            self._elsewhere(stream, channel, step, attempt, now)
            return
        shown = ("user_id", "type", "title", "message", "category", "action_url", "action_label", "metadata", "locale")
        self.outbox.append(
            {
                "tenant": stream.tenant,
                "notification_id": stream.id,
                "channel": channel,
                "address": step.address,
                "delivery_id": step.delivery_id,
                "attempt": attempt,
                **{name: state.content[name] for name in shown},
            }
        )
        message_id = f"memory-{len(self.outbox)}"
        sent_event = events.NotificationSent(
            channel=channel, attempt=attempt, provider=PROVIDER, provider_message_id=message_id
        )
        self._record(stream, [sent_event])

    def _elsewhere(self, stream: Stream, channel: str, step: Step, attempt: int, now: datetime) -> None:
        """An application's own channel: its worker sends, if one has subscribed for it."""
        if step.reason == HANDED_OVER:
            self._record(
                stream, [unavailable(channel, attempt, "no worker has told what came of it in time", 0.0, now)]
            )
        elif Stream("subscription", stream.tenant, f"channel:{channel}") not in self._log.states:
            self._suppress(
                stream, channel, "not-configured", f"neither the service nor an application has a channel {channel}"
            )
        else:
            until = now + timedelta(seconds=SECONDS_ELSEWHERE)
            self._record(stream, [events.NotificationHandedOver(channel=channel, attempt=attempt, until=until)])

    def _sent_since(
        self, tenant: str, state: NotificationState, channel: str, throttle: dict[str, Any], now: datetime
    ) -> int:
        since = now - timedelta(seconds=throttle["per"])
        return sum(
            other.sent_at.get(channel, since) > since
            for _, other in self._notifications.all(tenant)
            if other.content["user_id"] == state.content["user_id"]
            and (other.content["throttle"] or {}).get("key") == throttle["key"]
        )

    def _collect(self, stream: Stream, state: NotificationState, channel: str, now: datetime) -> None:
        user_id, key = state.content["user_id"], (state.content["digest"] or {}).get("key")
        own, default = self._notifications.said_about(stream.tenant, user_id)
        quiet = quiet_until(own, default, now)
        members: list[Found] = []
        for each, other in self._deferred(stream.tenant, user_id, channel, key, now):
            read = read_meanwhile(channel, other.seen_at)
            unwanted = objection(other.content["category"], channel, own, default) or read
            step = other.steps[channel]
            if unwanted is not None:
                self._suppress(each, channel, unwanted.reason, unwanted.detail)
            elif quiet is not None:
                deferred = events.NotificationDeferred(
                    channel=channel, address=step.address or "", delivery_id=step.delivery_id or "",
                    reason="quiet-hours", until=quiet,
                )  # fmt: skip
                self._record(each, [deferred])
            else:
                members.append((each, other))
        if len(members) == 1:
            [(only, other)] = members
            step = other.steps[channel]
            queued = events.NotificationQueued(
                channel=channel, address=step.address or "", delivery_id=step.delivery_id or ""
            )
            self._record(only, [queued])
        elif members:
            self._digest(members, channel)

    def _deferred(self, tenant: str, user_id: str, channel: str, key: str | None, now: datetime) -> list[Found]:
        found = []
        for stream, state in self._notifications.all(tenant):
            step = state.steps.get(channel)
            if step is None or step.status != "deferred" or state.content["user_id"] != user_id:
                continue
            same_key = key is not None and (state.content["digest"] or {}).get("key") == key
            if same_key or (step.due_at is not None and step.due_at <= now):
                found.append((stream, state))
        return sorted(found, key=lambda each: each[1].first_position)

    def _digest(self, members: list[Found], channel: str) -> None:
        first, oldest = members[0]
        digest_id = derived_id(":".join(first), f"digest/{channel}")
        digest = Stream(KIND, first.tenant, digest_id)
        user_id, locale = oldest.content["user_id"], oldest.content["locale"]
        shown = [digest_text.shown(state.content) for _, state in members[: digest_text.SHOWN]]
        context = digest_text.variables(user_id, channel, len(members), shown)
        text, used, metadata = self._digest_text(first.tenant, locale, context)
        created = events.NotificationCreated(
            user_id=user_id, type="info", title=text.title, message=text.message, html=text.html, metadata=metadata,
            channels=[channel], critical=False, in_inbox=False, locale=locale, template=used,
            digest_of=[stream.id for stream, _ in members],
        )  # fmt: skip
        queued = events.NotificationQueued(
            channel=channel,
            address=oldest.steps[channel].address or "",
            delivery_id=derived_id(":".join(digest), channel),
        )
        for stream, _ in members:
            self._suppress(stream, channel, "digested", f"it is part of digest {digest_id}")
        self._record(digest, [created, queued], self._log.streams[first][0].origin)

    def _digest_text(
        self, tenant: str, locale: str | None, context: dict[str, Any]
    ) -> tuple[Text, dict[str, Any], dict[str, Any]]:
        """The text, the template that it is from, and what is noted where the tenant's own cannot be used."""
        metadata = {}
        if self._templates.has(tenant, digest_text.TEMPLATE):
            try:
                return *self._templates.filled(tenant, digest_text.TEMPLATE, locale, context), {}
            except Refusal as refusal:
                metadata = {"template_problem": str(refusal)}
        used = {"name": digest_text.TEMPLATE, "version": digest_text.BUILT_IN_VERSION, "locale": None}
        return render(digest_text.BUILT_IN, context), used, metadata

    def _suppress(self, stream: Stream, channel: str, reason: str, detail: str) -> None:
        self._record(stream, [events.NotificationSuppressed(channel=channel, reason=reason, detail=detail)])

    def _record(self, stream: Stream, facts: list[Fact], origin: Origin | None = None) -> None:
        first = origin or self._log.streams[stream][0].origin
        self._log.append(stream, facts, first, self._clock.now())
