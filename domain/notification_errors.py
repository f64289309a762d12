"""Refusals about notifications and their templates."""

from __future__ import annotations

from domain.errors import Refusal


class NoSuchNotification(Refusal):
    """Raised when a notification is another user's, or has left the read models."""

    code = "not-found"

    def __init__(self, stream: str) -> None:
        super().__init__("there is no such notification of this user")
        self.stream = stream


class NothingToCancel(Refusal):
    """Raised when a notification that has gone out altogether is to be cancelled."""

    def __init__(self, stream: str) -> None:
        super().__init__("there is nothing to cancel: it has gone out through every channel, and no inbox shows it")
        self.stream = stream


class NotInInbox(Refusal):
    """Raised when a notification that no inbox shows is to be snoozed."""

    def __init__(self, stream: str) -> None:
        super().__init__("the inbox does not show this notification, so it cannot be snoozed")
        self.stream = stream


class NotSent(Refusal):
    """Raised when a message has arrived, or is to be sent again, that was never to be sent through that channel."""

    def __init__(self, stream: str, channel: str) -> None:
        super().__init__(f"nothing was sent through {channel}")
        self.stream, self.channel = stream, channel


class NoSuchTemplate(Refusal):
    """Raised when a template, or the version of it that is asked for, does not exist."""

    code = "not-found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no template {name!r}, or not this version of it")
        self.name = name


class UnknownTemplate(Refusal):
    """Raised when a notification is to be made from a template that is neither stored nor in the service's folder."""

    code = "invalid"

    def __init__(self, name: str) -> None:
        super().__init__(f"template: there is no template {name!r}; save it, or put it into the service's folder")
        self.name = name


class TemplateUnfilled(Refusal):
    """Raised when a template cannot be filled with what it was given; nothing is sent."""

    code = "invalid"

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"template {name!r} cannot be filled: {detail}")
        self.name, self.detail = name, detail
