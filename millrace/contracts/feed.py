"""What a client says over the WebSockets of the live feed, and what it is told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, field_validator

from millrace.contracts.event import Pattern, _checked_pattern
from millrace.contracts.wire import Fact, Identifier, Message

SUBPROTOCOL = "millrace.v1"
SLOW = 4008


class Asked(Message):
    """Base of what a client says. `id` comes back with the answer."""

    id: Identifier | None = None


class Follow(Asked):
    """Follows the events that match, from a position on.

    Attributes:
        pattern: topic pattern over event types.
        after: token of the last event seen, `beginning`, or `head` for only what comes next.
        subject: only the events of the aggregate with this id.
        user_id: only events whose data names this user.
    """

    action: Literal["subscribe"]
    pattern: Pattern = "#"
    after: Annotated[str, Field(min_length=1, max_length=128)] = "head"
    subject: Identifier | None = None
    user_id: Identifier | None = None

    _pattern = field_validator("pattern")(_checked_pattern)


class Unfollow(Asked):
    """Ends the subscription with the same pattern and filters."""

    action: Literal["unsubscribe"]
    pattern: Pattern = "#"
    subject: Identifier | None = None
    user_id: Identifier | None = None


class AskPresence(Asked):
    """Asks who is connected. With `watch`, those who come and go afterwards are told, until it is asked without."""

    action: Literal["presence"]
    watch: bool = False


class Ping(Asked):
    """Asks for a `pong`, for clients that do not see the pings of the protocol, such as browsers."""

    action: Literal["ping"]


class FollowProgress(Asked):
    """Follows one progress: what it is now, then every update."""

    action: Literal["subscribe"]
    progress_id: Identifier
    after: Annotated[str, Field(min_length=1, max_length=128)] | None = None


class UnfollowProgress(Asked):
    """Follows one progress no longer."""

    action: Literal["unsubscribe"]
    progress_id: Identifier


class ReadNotification(Asked):
    """Marks a notification of the user as read, or with no id all of them."""

    action: Literal["mark_read"]
    notification_id: Identifier | None = None


class AskUnread(Asked):
    """Asks for the user's unread notifications, and how many there are."""

    action: Literal["unread"]


LIVE: TypeAdapter[Follow | Unfollow | AskPresence | Ping] = TypeAdapter(
    Annotated[Follow | Unfollow | AskPresence | Ping, Field(discriminator="action")]
)
PROGRESS: TypeAdapter[FollowProgress | UnfollowProgress | Ping] = TypeAdapter(
    Annotated[FollowProgress | UnfollowProgress | Ping, Field(discriminator="action")]
)
NOTIFICATIONS: TypeAdapter[ReadNotification | AskUnread | Ping] = TypeAdapter(
    Annotated[ReadNotification | AskUnread | Ping, Field(discriminator="action")]
)


class LiveMessage(Fact):
    """What a client is told.

    Attributes:
        event: an event type, or a word of the feed: `subscribed`, `caught-up`, `heartbeat`, `reset`, `gone`, `error` …
        position: token of the event; what has none was not recorded, and nobody can ask for it later.
        pattern, subject, user_id: the subscription that the message belongs to.
        data: a CloudEvent, or what belongs to the word.
        eventtype: of the recorded event behind a `progress.update`.
        snapshot: `data` is everything, not what has changed.
        transient: the update was not recorded.
        id: of the message that this is an answer to.
    """

    event: str
    position: str | None = None
    pattern: str | None = None
    subject: str | None = None
    user_id: str | None = None
    data: dict[str, Any] | None = None
    eventtype: str | None = None
    snapshot: bool = False
    transient: bool = False
    id: str | None = None
