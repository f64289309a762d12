"""What users say about notifications: preferences, contact points, and that they have read everything."""

from __future__ import annotations

from typing import Any

from domain.inbox import Inbox
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts import inbox as contract
from millrace.contracts.notification import MarkAllRead
from millrace.contracts.notification_plan import Said
from millrace.contracts.wire import Context


def set_preferences(inbox: Inbox | None, command: contract.SetPreferences, at: Moment) -> Decided:
    preferences = command.model_dump(mode="json", exclude={"user_id"})
    if inbox is None:
        inbox = Inbox.with_preferences(at.stream, command.user_id, preferences, at.now)
    else:
        inbox.set_preferences(preferences, at.now)
    return Decided(inbox, {"user_id": command.user_id, **inbox.preferences})


def set_contacts(inbox: Inbox | None, command: contract.SetContacts, at: Moment) -> Decided:
    contacts = command.applied_to(inbox.contacts if inbox is not None else {})
    given = command.model_fields_set
    locale = command.locale if "locale" in given or inbox is None else inbox.locale
    timezone = command.timezone if "timezone" in given or inbox is None else inbox.timezone
    if inbox is None:
        inbox = Inbox.with_contacts(at.stream, command.user_id, contacts, locale, timezone, at.now)
    else:
        inbox.set_contacts(contacts, locale, timezone, at.now)
    told = {"contacts": inbox.contacts, "locale": inbox.locale, "timezone": inbox.timezone}
    return Decided(inbox, {"user_id": command.user_id, **told})


def read_all(inbox: Inbox | None, command: MarkAllRead, at: Moment) -> Decided:
    if inbox is None:
        inbox = Inbox.all_read(at.stream, command.user_id, at.now)
    else:
        inbox.read_all(at.now)
    return Decided(inbox, {"user_id": command.user_id, "success": True})


def said_by(inbox: Inbox | None) -> Said:
    """What a user has said so far, for the plan of a notification."""
    return Said() if inbox is None else Said(inbox.preferences, inbox.contacts, inbox.locale, inbox.timezone)


def _user(command: Any, _: Context) -> str:
    return str(command.user_id)


def command_routes() -> dict[str, CommandRoute]:
    """Commands that a user's inbox decides; it begins with the first."""
    return {
        "notification.set_preferences": CommandRoute(
            contract.SetPreferences, Inbox, set_preferences, _user, required=False
        ),
        "notification.set_contacts": CommandRoute(contract.SetContacts, Inbox, set_contacts, _user, required=False),
        "notification.mark_all_read": CommandRoute(MarkAllRead, Inbox, read_all, _user, required=False),
    }
