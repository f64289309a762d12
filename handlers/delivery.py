"""One delivery: what its stream says, what the channel makes of it, and what is recorded about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import assert_never, cast

import structlog

from domain.channels import Channel, Delivery, NotConfigured, Outcome, Rejected, Sent, Unavailable
from domain.deliveries import DueDeliveries, DueDelivery, DueSnooze
from domain.inbox import KIND as INBOX
from domain.inbox import Inbox
from domain.notification import KIND, Notification
from domain.notification_events import HANDED_OVER, Step
from domain.ports import Clock, EventStore, StreamName
from domain.retry import given_up, retry_delay
from domain.subscription import KIND as SUBSCRIPTION
from handlers.inbox import said_by
from handlers.notification import OF_APPLICATION, NotificationPolicy
from handlers.notification_steps import Collapse, Settle, Wake, member_of
from handlers.pipeline import Pipeline
from handlers.slow_hosts import SlowHosts
from millrace.contracts import digest_text
from millrace.contracts.notification import DEFAULTS_USER
from millrace.contracts.notification_plan import Said, objection, quiet_until, read_meanwhile
from millrace.contracts.wire import Accepted, Context, Message

MOST_IN_A_DIGEST = 500
MOST_CHARACTERS = 2_000
LEAST_SECONDS_ELSEWHERE = 60.0
RECORD_AGAIN_SECONDS = 0.5
log = structlog.get_logger("deliverer")


class NotRecorded(Exception):
    """Raised when the service refuses its own command about a delivery, which it never should."""

    def __init__(self, command: str, detail: str) -> None:
        super().__init__(f"notification.{command} was refused: {detail}")
        self.command, self.detail = command, detail


class Deliveries:
    """Carries out what is due."""

    def __init__(
        self,
        due: DueDeliveries,
        store: EventStore,
        pipeline: Pipeline,
        clock: Clock,
        channels: Mapping[str, Channel],
        policy: NotificationPolicy,
    ) -> None:
        self._due, self._store, self._pipeline, self._clock = due, store, pipeline, clock
        self._channels, self._policy = channels, policy
        self._slow = SlowHosts(time.monotonic)

    def hung(self, channel: str) -> int:
        """How many deliveries wait for a host that does not answer."""
        return self._slow.hung(channel)

    async def carry_out(self, due: DueDelivery) -> list[str | None]:
        """Sends it, or decides why not; returns the positions of what was recorded.

        Raises:
            StoreUnavailable: nothing was sent.
            HostHangs: nothing was sent, for the host that it goes to keeps others waiting.
        """
        if due.status == "deferred":
            return await self._collect(due)
        notification = (await self._loaded(due.tenant, [due.notification_id])).get(due.notification_id)
        step = notification.steps.get(due.channel) if notification is not None else None
        if notification is None or step is None or step.status != "queued" or not self._is_due(step):
            return []
        if due.is_digest and not step.attempts:
            await self._mark_members(due, notification.digest_of, due.notification_id)
        throttled = await self._throttled(due, notification)
        if throttled is not None:
            return [await self._settle(due, throttled)]
        channel = self._channels.get(due.channel)
        if channel is None:
            return [await self._settle(due, await self._elsewhere(due, step))]
        with self._slow.calling(due.channel, step.address or ""):
            outcome = await self._send(channel, due, notification, step)
        return [await self._settle(due, self._settled(due, outcome, step))]

    async def wake(self, snooze: DueSnooze) -> str | None:
        """Has the inbox show a notification again; returns the position of what was recorded."""
        body = Wake(notification_id=snooze.notification_id, until=snooze.until)
        return (await self._give("wake", body, snooze.tenant, snooze.notification_id)).position

    async def _elsewhere(self, due: DueDelivery, step: Step) -> Settle:
        """A channel that the service does not have itself: an application's, if one has subscribed for it."""
        if step.reason == HANDED_OVER:
            return self._settled(due, Unavailable(due.channel, "no worker has told what came of it in time"), step)
        subscribed = StreamName(SUBSCRIPTION, due.tenant, f"{OF_APPLICATION}{due.channel}")
        if not await self._store.load([subscribed]):
            nobody = NotConfigured(f"neither the service nor an application has a channel {due.channel}")
            return self._settled(due, nobody, step)
        until = self._clock.now() + timedelta(seconds=max(LEAST_SECONDS_ELSEWHERE, 2 * self._policy.timeout))
        return self._outcome(due, outcome="handed-over", attempt=step.attempts + 1, until=until)

    async def _send(self, channel: Channel, due: DueDelivery, notification: Notification, step: Step) -> Outcome:
        delivery = Delivery(
            tenant=due.tenant,
            notification_id=due.notification_id,
            delivery_id=step.delivery_id or "",
            user_id=notification.user_id,
            channel=due.channel,
            address=step.address or "",
            locale=notification.locale,
            type=notification.type,
            title=notification.title,
            message=notification.message,
            html=notification.html,
            action_url=notification.action_url,
            action_label=notification.action_label,
            category=notification.category,
            metadata=notification.metadata,
            attempt=step.attempts + 1,
        )
        try:
            async with asyncio.timeout(self._policy.timeout):
                return await channel.send(delivery)
        except TimeoutError:
            return Unavailable(due.channel, f"no answer within {self._policy.timeout:g} s")
        except Exception as error:
            # Its text may quote addresses or credentials, and would be kept for ever.
            log.warning("a channel raised", action="channel_raised", channel=due.channel, error=type(error).__name__)
            return Unavailable(due.channel, f"the channel raised {type(error).__name__}")

    def _settled(self, due: DueDelivery, outcome: Outcome, step: Step) -> Settle:
        attempt = step.attempts + 1
        match outcome:
            case Sent(provider, message_id, detail):
                return self._outcome(
                    due, outcome="sent", attempt=attempt, provider=provider, provider_message_id=message_id,
                    detail=detail or "",
                )  # fmt: skip
            case NotConfigured(reason):
                return self._outcome(due, outcome="suppressed", reason="not-configured", detail=reason)
            case Rejected(provider, reason):
                return self._outcome(
                    due, outcome="failed", attempt=attempt, provider=provider, reason="rejected", detail=reason
                )
            case Unavailable(provider, reason, retry_after):
                policy = self._policy.retry.model_dump()
                if given_up(policy, attempt, self._policy.max_attempts) is not None:
                    return self._outcome(
                        due, outcome="failed", attempt=attempt, provider=provider, reason="attempts-exhausted",
                        detail=reason,
                    )  # fmt: skip
                wait = max(retry_after or 0.0, retry_delay(policy, attempt, step.delivery_id or ""))
                until = self._clock.now() + timedelta(seconds=wait)
                return self._outcome(
                    due, outcome="retry", attempt=attempt, provider=provider, detail=reason, until=until
                )
            case _:
                assert_never(outcome)

    async def _throttled(self, due: DueDelivery, notification: Notification) -> Settle | None:
        """That too many with its key have gone out just now. Retries are asked too: what failed did not go out, or an
        outage of the provider would let all through that were tried meanwhile."""
        throttle = notification.throttle
        if throttle is None or notification.critical:
            return None
        sent = await self._due.sent_since(due.lane, throttle["key"], throttle["per"])
        if sent < throttle["limit"]:
            return None
        detail = f"{sent} with key {throttle['key']} were sent within {throttle['per']:g} s"
        return self._outcome(due, outcome="suppressed", reason="throttled", detail=detail)

    async def _collect(self, due: DueDelivery) -> list[str | None]:
        """The time of deferred ones has come: one goes out as it is, several as one digest."""
        found = await self._due.deferred(due.lane, due.digest_key, MOST_IN_A_DIGEST)
        loaded = await self._loaded(due.tenant, [each.notification_id for each in found])
        own, default = await self._said(due.tenant, due.user_id)
        quiet = quiet_until(own, default, self._clock.now())
        positions: list[str | None] = []
        members: list[tuple[DueDelivery, Notification]] = []
        for each in found:
            notification = loaded.get(each.notification_id)
            if notification is None or notification.steps[each.channel].status != "deferred":
                continue
            read = read_meanwhile(each.channel, notification.read_at)
            unwanted = objection(notification.category, each.channel, own, default) or read
            if unwanted is not None:
                body = self._outcome(each, outcome="suppressed", reason=unwanted.reason, detail=unwanted.detail)
                positions.append(await self._settle(each, body))
            elif quiet is not None:
                body = self._outcome(each, outcome="deferred", reason="quiet-hours", until=quiet)
                positions.append(await self._settle(each, body))
            else:
                members.append((each, notification))
        if len(members) == 1:
            only = members[0][0]
            positions.append(await self._settle(only, self._outcome(only, outcome="queued")))
        elif members:
            positions += await self._collapse(members)
        return positions

    async def _collapse(self, members: Sequence[tuple[DueDelivery, Notification]]) -> list[str | None]:
        first = members[0][0]
        body = Collapse(
            notification_id=first.notification_id,
            tenant=first.tenant,
            channel=first.channel,
            members=tuple(each.notification_id for each, _ in members),
            shown=tuple(digest_text.shown(vars(notification)) for _, notification in members[: digest_text.SHOWN]),
        )
        collapsed = await self._give("collapse", body, first.tenant, first.notification_id)
        digest_id = collapsed.result["digest_id"]
        marked = [] if digest_id is None else await self._mark_members(first, body.members, digest_id)
        return [collapsed.position, *marked]

    async def _mark_members(self, due: DueDelivery, members: Sequence[str], digest_id: str) -> list[str | None]:
        """Says of each member that a digest has it; the first one was told so when the digest was made."""
        detail = member_of(digest_id)
        marks = [
            self._outcome(due._replace(notification_id=member), outcome="suppressed", reason="digested", detail=detail)
            for member in members
        ]
        return list(
            await asyncio.gather(
                *(self._settle(due._replace(notification_id=mark.notification_id), mark) for mark in marks)
            )
        )

    def _outcome(self, due: DueDelivery, **values: object) -> Settle:
        values = {name: _clean(value) if isinstance(value, str) else value for name, value in values.items()}
        return Settle.model_validate({"notification_id": due.notification_id, "channel": due.channel, **values})

    def _is_due(self, step: Step) -> bool:
        return step.due_at is not None and step.due_at <= self._clock.now() + timedelta(seconds=1)

    async def _loaded(self, tenant: str, ids: Sequence[str]) -> dict[str, Notification]:
        loaded = await self._store.load([StreamName(KIND, tenant, id) for id in ids])
        found: dict[str, Notification] = {}
        for stream, one in loaded.items():
            notification = Notification.replayed(one.events, cast("Notification | None", one.snapshot))
            if notification is not None and not notification.removed:
                found[stream.id] = notification
        return found

    async def _said(self, tenant: str, user_id: str) -> tuple[Said, Said]:
        streams = [StreamName(INBOX, tenant, id) for id in (user_id, DEFAULTS_USER)]
        loaded = await self._store.load(streams)
        inboxes = [
            Inbox.replayed(found.events, cast("Inbox | None", found.snapshot)) if found is not None else None
            for found in map(loaded.get, streams)
        ]
        return said_by(inboxes[0]), said_by(inboxes[1])

    async def _settle(self, due: DueDelivery, body: Settle) -> str | None:
        return (await self._give("settle", body, due.tenant, due.notification_id)).position

    async def _give(self, command: str, body: Message, tenant: str, id: str) -> Accepted:
        """Records it, again and again while the store cannot: a message that was sent must not be sent again."""
        stream = StreamName(KIND, tenant, id)
        context = Context(tenant, f"{stream.text}/{command}", principal="millrace")
        while True:
            answer = await self._pipeline.execute_internal(f"notification.{command}", body, context)
            if isinstance(answer, Accepted):
                return answer
            if answer.problem.code not in ("unavailable", "conflict"):
                raise NotRecorded(command, answer.problem.detail)
            await asyncio.sleep(RECORD_AGAIN_SECONDS)


def _clean(text: str) -> str:
    """What a provider has said, so that it can be stored."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")[:MOST_CHARACTERS]
