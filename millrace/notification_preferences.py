"""What users have said about notifications: what they want to be told, and where they are reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.contracts.inbox import Contacts, NotificationPreferences, Preferences
from millrace.notification_link import NotificationLink


class UserPreferences(NotificationLink):
    """The part of `Notifications` that keeps it. User `*` stands for the tenant's defaults."""

    async def set_preferences(
        self, user_id: str, preferences: NotificationPreferences | Mapping[str, Any] | None = None, **given: Any
    ) -> None:
        """Sets what the user wants to be told, and how: all of it. User `*` stands for the tenant's defaults.

        Raises:
            Invalid: something is not acceptable, such as a time zone that does not exist.
        """
        if isinstance(preferences, NotificationPreferences):
            preferences = preferences.model_dump(mode="json", exclude_none=True)
        await self._execute("set_preferences", **{**(preferences or {}), **given, "user_id": user_id})

    async def get_preferences(self, user_id: str) -> Preferences:
        """What the user has said; empty for one who has said nothing."""
        return Preferences.model_validate(await self._query("notification.preferences", {"user_id": user_id}))

    async def set_contact(self, user_id: str, channel: str, address: str | None, *, verified: bool = False) -> None:
        """Says where the user is reached through a channel; None takes that away.

        Raises:
            Invalid: nothing could ever be sent to that address through the channel.
        """
        contact = None if address is None else {"address": address, "verified": verified}
        await self.set_contacts(user_id, {channel: contact})

    async def set_contacts(
        self, user_id: str, contacts: Mapping[str, Any] | None = None, *, locale: str | None = None,
        timezone: str | None = None,
    ) -> None:  # fmt: skip
        """Changes the contact points that are given, the language (`de-CH`) and the time zone (`Europe/Zurich`).

        Raises:
            Invalid: nothing is given, or something is not acceptable.
        """
        settings = {"locale": locale, "timezone": timezone}
        given = {key: value for key, value in settings.items() if value is not None}
        body = {"user_id": user_id, **({} if contacts is None else {"contacts": dict(contacts)}), **given}
        self._noted(await self._app.link.execute("notification.set_contacts", body))

    async def get_contacts(self, user_id: str) -> Contacts:
        """Where the user is reached."""
        return Contacts.model_validate(await self._query("notification.contacts", {"user_id": user_id}))
