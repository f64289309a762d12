"""What one user has said about notifications; the tenant's defaults are those of user `*`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from domain.aggregate import Aggregate, Event

KIND = "inbox"


class PreferencesSet(Event):
    TOPIC: ClassVar[str] = "notification.preferences_set"
    user_id: str
    channels: list[str] | None
    categories: dict[str, bool]
    quiet_hours: dict[str, Any] | None
    matrix: dict[str, dict[str, bool]]

    def apply(self, inbox: Inbox) -> None:
        inbox.user_id = self.user_id
        inbox.preferences = {
            "channels": self.channels,
            "categories": self.categories,
            "quiet_hours": self.quiet_hours,
            "matrix": self.matrix,
        }


class ContactsSet(Event):
    TOPIC: ClassVar[str] = "notification.contacts_set"
    user_id: str
    contacts: dict[str, dict[str, Any]]
    locale: str | None
    timezone: str | None

    def apply(self, inbox: Inbox) -> None:
        inbox.user_id = self.user_id
        inbox.contacts, inbox.locale, inbox.timezone = self.contacts, self.locale, self.timezone


class AllRead(Event):
    TOPIC: ClassVar[str] = "notification.all_read"
    user_id: str

    def apply(self, inbox: Inbox) -> None:
        inbox.user_id = self.user_id


class Inbox(Aggregate):
    """One user's preferences and contact points. It begins with the first thing that is said."""

    KIND: ClassVar[str] = KIND

    user_id: str

    def __base_init__(self, originator_id: Any, originator_version: int, timestamp: datetime) -> None:
        super().__base_init__(originator_id, originator_version, timestamp)
        self.preferences: dict[str, Any] = {}
        self.contacts: dict[str, dict[str, Any]] = {}
        self.locale: str | None = None
        self.timezone: str | None = None

    @classmethod
    def with_preferences(cls, stream: str, user_id: str, preferences: dict[str, Any], now: datetime) -> Self:
        return cls.created_by(PreferencesSet(stream, 1, now, user_id, **preferences))

    @classmethod
    def with_contacts(
        cls,
        stream: str,
        user_id: str,
        contacts: dict[str, dict[str, Any]],
        locale: str | None,
        timezone: str | None,
        now: datetime,
    ) -> Self:
        return cls.created_by(ContactsSet(stream, 1, now, user_id, contacts, locale, timezone))

    @classmethod
    def all_read(cls, stream: str, user_id: str, now: datetime) -> Self:
        return cls.created_by(AllRead(stream, 1, now, user_id))

    def set_preferences(self, preferences: dict[str, Any], now: datetime) -> None:
        """These preferences, all of them, from now on; the same change nothing."""
        if preferences != self.preferences:
            self.trigger_event(PreferencesSet, timestamp=now, user_id=self.user_id, **preferences)

    def set_contacts(
        self, contacts: dict[str, dict[str, Any]], locale: str | None, timezone: str | None, now: datetime
    ) -> None:
        """These contact points, all of them, from now on; the same change nothing."""
        if (contacts, locale, timezone) != (self.contacts, self.locale, self.timezone):
            self.trigger_event(
                ContactsSet, timestamp=now, user_id=self.user_id, contacts=contacts, locale=locale, timezone=timezone
            )

    def read_all(self, now: datetime) -> None:
        """Whatever is in the inbox at this moment has been read."""
        self.trigger_event(AllRead, timestamp=now, user_id=self.user_id)

    def to_wire(self) -> dict[str, Any]:
        return {
            "user_id": self.user_id,
            "preferences": self.preferences,
            "contacts": self.contacts,
            "locale": self.locale,
            "timezone": self.timezone,
        }
