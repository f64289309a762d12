"""What one user has said about notifications: preferences, contact points, and that everything was read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, Field, StringConstraints, field_validator, model_validator

from millrace.contracts.contact_points import wrong_with
from millrace.contracts.notification import Address, ChannelName, Channels, UserId
from millrace.contracts.schedule import Zone
from millrace.contracts.wire import Fact, Message, Name

CLOCK_TIME = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")


def _plain(value: str) -> str:
    # The pattern lets a line break at the end through, and digits of other scripts.
    if len(value) != len("HH:MM") or not value.isascii():
        raise ValueError("is no time of day such as 22:00")
    return value


ClockTime = Annotated[str, StringConstraints(pattern=CLOCK_TIME), AfterValidator(_plain)]
Switches = Annotated[dict[ChannelName, bool], Field(max_length=16)]


class QuietHours(Message):
    """From `start` to `end` by the user's wall clock, `HH:MM`; an end that is not later lies on the next day.

    Attributes:
        timezone: IANA name; default the user's, else the tenant's, else UTC.
    """

    start: ClockTime
    end: ClockTime
    timezone: Zone | None = None

    @model_validator(mode="after")
    def _some_time(self) -> QuietHours:
        if self.start == self.end:
            raise ValueError("`start` and `end` are the same; to turn a channel off altogether, leave it out")
        return self


class NotificationPreferences(Message):
    """What a user wants to be told, and how.

    Attributes:
        channels: the channels that the user takes; None takes all.
        categories: false turns a category off.
        quiet_hours: when nothing but the inbox is to be used, unless it is critical.
        matrix: for a category, which channels are on or off; it goes before `categories` and `channels`.
    """

    channels: Channels | None = None
    categories: dict[Name, bool] = Field(default_factory=dict, max_length=500)
    quiet_hours: QuietHours | None = Field(default=None, validation_alias=AliasChoices("quiet_hours", "quietHours"))
    matrix: dict[Name, Switches] = Field(default_factory=dict, max_length=500)


class SetPreferences(NotificationPreferences):
    """`notification.set_preferences`: these from now on, all of them. User `*` stands for the tenant's defaults."""

    user_id: UserId


class Contact(Message):
    """Where a user is reached through a channel."""

    address: Address
    verified: bool = False


class ContactChanges(Message):
    """Contact points by channel; a null takes one away, what is left out stays. A plain text is an address."""

    contacts: dict[ChannelName, Contact | Address | None] = Field(default_factory=dict, max_length=16)
    locale: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")] | None = None
    timezone: Zone | None = None

    @field_validator("contacts")
    @classmethod
    def _reachable(cls, contacts: dict[str, Contact | Address | None]) -> dict[str, Contact | Address | None]:
        for channel, contact in contacts.items():
            address = contact.address if isinstance(contact, Contact) else contact
            wrong = None if address is None else wrong_with(channel, address)
            if wrong is not None:
                raise ValueError(f"the address for `{channel}` {wrong}")
        return contacts

    @model_validator(mode="after")
    def _something(self) -> ContactChanges:
        if not self.model_fields_set & {"contacts", "locale", "timezone"}:
            raise ValueError("give `contacts`, `locale` or `timezone`")
        return self

    def applied_to(self, contacts: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The contact points after the changes."""
        changed = dict(contacts)
        for channel, contact in self.contacts.items():
            match contact:
                case None:
                    changed.pop(channel, None)
                case str():
                    changed[channel] = Contact(address=contact).model_dump()
                case Contact():
                    changed[channel] = contact.model_dump()
        return changed


class SetContacts(ContactChanges):
    """`notification.set_contacts`: where the user is reached, and in which language and time zone."""

    user_id: UserId


class GetPreferences(Message):
    """Query `notification.preferences`."""

    user_id: UserId


class GetContacts(Message):
    """Query `notification.contacts`."""

    user_id: UserId


class Preferences(NotificationPreferences):
    """A user's preferences as they are read; those of a user who has said nothing are empty."""

    user_id: str


class Contacts(Fact):
    """A user's contact points as they are read."""

    user_id: str
    contacts: dict[str, Contact] = Field(default_factory=dict)
    locale: str | None = None
    timezone: str | None = None


class PreferencesSet(Fact):
    user_id: str
    channels: list[str] | None = None
    categories: dict[str, bool]
    quiet_hours: dict[str, Any] | None = None
    matrix: dict[str, dict[str, bool]]


class ContactsSet(Fact):
    """All contact points that the user has from now on."""

    user_id: str
    contacts: dict[str, dict[str, Any]]
    locale: str | None = None
    timezone: str | None = None


class AllRead(Fact):
    """Everything that was in the user's inbox at this position has been read."""

    user_id: str


COMMANDS: dict[str, type[Message]] = {
    "notification.set_preferences": SetPreferences,
    "notification.set_contacts": SetContacts,
}
QUERIES: dict[str, type[Message]] = {
    "notification.preferences": GetPreferences,
    "notification.contacts": GetContacts,
}
EVENTS: dict[str, type[Fact]] = {
    "notification.preferences_set": PreferencesSet,
    "notification.contacts_set": ContactsSet,
    "notification.all_read": AllRead,
}
