"""Amazon SES's events, which Amazon SNS brings: deliveries, bounces, complaints.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, assert_never

import structlog
from pydantic_core import from_json

from adapters.channels.callback import BadSignature, Callback, Told, told
from adapters.channels.sns_message import Fetch, SnsVerifier, endpoint_of, message_of

log = structlog.get_logger("adapters.callbacks")


class SesEvents:
    """Reads one event for each call, and confirms the subscription to a topic that it is to hear.

    Args:
        topics: ARNs; anybody can have a topic of his own, and SNS signs for all of them.
        fetch: reads a URL of SNS; raises `FetchFailed`.
        now: the time, in which a certificate must be valid.
        endpoint: where SNS answers for a topic.

    Raises:
        ValueError: one of the topics is no ARN of one.
    """

    name = "ses"

    def __init__(
        self,
        topics: Collection[str],
        fetch: Fetch,
        now: Callable[[], datetime],
        endpoint: Callable[[str], str] = endpoint_of,
    ) -> None:
        for topic in topics:
            endpoint_of(topic)
        self._topics = frozenset(topics)
        self._verifier = SnsVerifier(self.name, fetch, now, endpoint)

    async def read(self, call: Callback) -> Sequence[Told]:
        message = message_of(self.name, call.body)
        if message.topic not in self._topics:
            raise BadSignature(self.name, "its topic is not among those of the settings")
        await self._verifier.verify(message)
        match message.type:
            case "Notification":
                found = _told(message.message)
                return [] if found is None else [found]
            case "SubscriptionConfirmation":
                await self._verifier.confirm(message)
                log.info("a subscription was confirmed", action="callback_subscribed", topic=message.topic)
                return []
            case "UnsubscribeConfirmation":
                log.warning("nothing more will be told", action="callback_unsubscribed", topic=message.topic)
                return []
            case _:
                assert_never(message.type)


def _told(text: str) -> Told | None:
    """What an event tells; None for what is none, such as the words with which SES tries a new topic."""
    try:
        event = from_json(text)
    except ValueError:
        return None
    kind = _at(event, "eventType") or _at(event, "notificationType")
    status = _status(kind, event)
    message_id = _at(event, "mail", "messageId")
    if status is None or not isinstance(message_id, str):
        return None
    bounce = _at(event, "bounce")
    about = {name: _first(_at(event, "mail", "tags", name)) for name in ("tenant", "notification_id")}
    words: list[object] = []
    if status != "delivered":
        recipient = _first(_at(bounce, "bouncedRecipients"))
        words = [_at(recipient, "status"), _at(recipient, "diagnosticCode") or _at(bounce, "bounceSubType")]
        words += [_at(event, "reject", "reason")]
    found = told(f"{message_id}/{kind}/{_at(bounce, 'feedbackId')}", about, "email", status, message_id, words)
    if kind == "Complaint" and found is not None:
        log.info("a recipient complains", action="notification_complaint", notification_id=found.notification_id)
    return found


def _status(kind: object, event: object) -> Literal["delivered", "bounced", "failed"] | None:
    match kind:
        # Who complains has got it.
        case "Delivery" | "Complaint":
            return "delivered"
        case "Bounce":
            # SES has given up on either; a reply from a mailbox whose owner is away counts as transient too, and does
            # not take back that the mail has arrived.
            return "failed" if _at(event, "bounce", "bounceType") == "Transient" else "bounced"
        case "Reject":
            return "failed"
        case _:
            return None


def _first(value: object) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _at(value: object, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
