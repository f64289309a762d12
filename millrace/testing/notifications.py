"""Notifications in memory: commands, queries, and what the inbox shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from millrace.contracts import inbox as inbox_contract
from millrace.contracts import notification as contract
from millrace.contracts.notification_plan import BUILT_IN, Said, locale_of
from millrace.contracts.notification_reports import Receipt, ReportDelivery
from millrace.contracts.notification_resend import Resend, ResendSince
from millrace.contracts.wire import Accepted, Context, Fact, Message, Reply, derived_id
from millrace.testing import notification_decisions as decisions
from millrace.testing.commands import Route
from millrace.testing.log import MemoryLog, Stream
from millrace.testing.many_jobs import places
from millrace.testing.notification_state import InboxState, NotificationState
from millrace.testing.query import Query, position_before
from millrace.testing.refusals import Refusal
from millrace.testing.states import State
from millrace.testing.templates import MemoryTemplates

KIND, INBOX = "notification", "inbox"


class MemoryNotifications:
    """Every notification of the service in memory. It can send through every channel that Millrace knows."""

    def __init__(self, log: MemoryLog, templates: MemoryTemplates) -> None:
        self._log, self._templates = log, templates

    def said_about(self, tenant: str, user_id: str) -> tuple[Said, Said]:
        """What the user and the tenant have said."""
        found = [self._log.states.get(Stream(INBOX, tenant, id)) for id in (user_id, contract.DEFAULTS_USER)]
        own, default = (inbox.said() if isinstance(inbox, InboxState) else Said() for inbox in found)
        return own, default

    def all(self, tenant: str | None = None) -> Iterator[tuple[Stream, NotificationState]]:
        """The notifications that the read models have, of one tenant or of all."""
        for stream, state in self._log.states.items():
            if isinstance(state, NotificationState) and not state.removed and tenant in (None, stream.tenant):
                yield stream, state

    def recorded(self, stream: Stream, state: State) -> None:
        """Follows what an inbox has recorded."""
        newest = self._log.streams[stream][-1]
        if isinstance(state, InboxState) and isinstance(newest.fact, inbox_contract.AllRead):
            for _, notification in self.all(stream.tenant):
                unread = notification.shown and notification.seen_at is None
                if unread and notification.content["user_id"] == state.user_id:
                    notification.inbox_read_at = newest.at

    def command_routes(self) -> dict[str, Route]:
        """Commands that a notification or an inbox decides."""

        def send(stream: Stream, state: Any, command: contract.Send, now: datetime) -> list[Fact]:
            if state is not None:
                return []
            own, default = self.said_about(stream.tenant, command.user_id)
            written: dict[str, Any] = {}
            if command.template is not None:
                locale = locale_of(command, own, default)
                context = {"user_id": command.user_id, "category": command.category, **command.context}
                text, used = self._templates.filled(stream.tenant, command.template, locale, context)
                written = {
                    "title": command.title or text.title,
                    "message": command.message or text.message,
                    "html": text.html,
                    "template": used,
                }
            return decisions.send(":".join(stream), command, own, default, BUILT_IN, now, written)

        def named(command: Any, _: Context) -> str:
            return str(command.notification_id)

        def of_user(command: Any, _: Context) -> str:
            return str(command.user_id)

        def derived(_: Any, context: Context) -> str:
            return derived_id(context.tenant, context.message_id, context.principal)

        def sent(id: str, state: Any) -> dict[str, Any]:
            return contract.sent_answer(id, state.steps)

        def changed(id: str, _: Any) -> dict[str, Any]:
            return {"notification_id": id, "success": True}

        def inbox(model: type[Message], decide: Any, names: tuple[str, ...]) -> Route:
            def told(id: str, state: Any) -> dict[str, Any]:
                shown = state.to_wire() | state.preferences | {"success": True}
                return {"user_id": id} | {name: shown[name] for name in names}

            return Route(model, INBOX, of_user, decide, told, creates=True)

        return {
            "notification.send": Route(
                contract.Send, KIND, derived, lambda state, command, now: [], sent, creates=True, decide_at=send
            ),
            "notification.mark_read": Route(contract.MarkRead, KIND, named, decisions.read, changed),
            "notification.cancel": Route(contract.CancelNotification, KIND, named, decisions.cancel, changed),
            "notification.snooze": Route(contract.SnoozeNotification, KIND, named, decisions.snooze, changed),
            "notification.receipt": Route(Receipt, KIND, named, decisions.receipt, changed),
            "notification.report": Route(ReportDelivery, KIND, named, decisions.report, changed),
            "notification.resend": Route(Resend, KIND, named, decisions.resend, changed),
            "notification.mark_all_read": inbox(contract.MarkAllRead, decisions.read_all, ("success",)),
            "notification.set_preferences": inbox(
                inbox_contract.SetPreferences,
                decisions.set_preferences,
                ("channels", "categories", "quiet_hours", "matrix"),
            ),
            "notification.set_contacts": inbox(
                inbox_contract.SetContacts, decisions.set_contacts, ("contacts", "locale", "timezone")
            ),
        }

    def resend_since(
        self, wish: ResendSince, context: Context, execute: Callable[[str, object, Context], Reply]
    ) -> dict[str, Any]:
        """The answer to the command of that name. Raises `Refusal` for a cursor of nobody."""
        after, until = places(wish.cursor) if wish.cursor else (0, self._log.head)
        found = [
            state
            for _, state in sorted(self.all(context.tenant), key=lambda each: each[1].first_position)
            if after < state.first_position <= until and _fits(state, wish)
        ]
        if wish.dry_run:
            return {"matched": len(found)}
        page = found[: wish.limit]
        changed = 0
        for state in page:
            body = {"notification_id": state.id, "channel": wish.channel}
            own = context._replace(message_id=f"{context.message_id}/{state.id}")
            changed += isinstance(execute("notification.resend", body, own), Accepted)
        cursor = f"{page[-1].first_position}-{until}" if len(found) > len(page) else None
        return {"matched": len(page), "changed": changed, "refused": len(page) - changed, "cursor": cursor}

    def query_routes(self) -> dict[str, Query]:
        """Questions to the inboxes."""
        return {
            "notification.get": Query(contract.GetNotification, self._get),
            "notification.list": Query(contract.ListNotifications, self._list),
            "notification.unread_count": Query(contract.CountUnread, self._unread),
            "notification.preferences": Query(inbox_contract.GetPreferences, self._preferences),
            "notification.contacts": Query(inbox_contract.GetContacts, self._contacts),
        }

    def _get(self, tenant: str, query: contract.GetNotification) -> dict[str, Any]:
        found = dict(self.all(tenant)).get(Stream(KIND, tenant, query.notification_id))
        if found is None or query.user_id not in (None, found.content["user_id"]):
            raise Refusal("not-found", f"there is no notification {query.notification_id!r}")
        return {"notification": found.view()}

    def _list(self, tenant: str, query: contract.ListNotifications) -> dict[str, Any]:
        before = position_before(query.cursor, self._log)
        found = [
            state
            for _, state in self.all(tenant)
            if state.first_position < before
            and query.user_id in (None, state.content["user_id"])
            and query.type in (None, state.content["type"])
            and query.category in (None, state.content["category"])
            and not (query.unread_only and state.seen_at)
            and (query.scope == "all" or state.shown)
            and (query.status is None or any(step.status == query.status for step in state.steps.values()))
        ]
        found.sort(key=lambda state: -state.first_position)
        page = found[: query.limit]
        cursor = str(page[-1].first_position) if len(found) > query.limit else None
        return {"notifications": [state.view() for state in page], "cursor": cursor}

    def _unread(self, tenant: str, query: contract.CountUnread) -> dict[str, Any]:
        own = [state for _, state in self.all(tenant) if state.content["user_id"] == query.user_id]
        return {"user_id": query.user_id, "unread": sum(state.shown and state.seen_at is None for state in own)}

    def _preferences(self, tenant: str, query: inbox_contract.GetPreferences) -> dict[str, Any]:
        return {"user_id": query.user_id, **self.said_about(tenant, query.user_id)[0].preferences}

    def _contacts(self, tenant: str, query: inbox_contract.GetContacts) -> dict[str, Any]:
        said = self.said_about(tenant, query.user_id)[0]
        return {
            "user_id": query.user_id,
            "contacts": said.contacts,
            "locale": said.locale,
            "timezone": said.timezone,
        }


def _fits(state: NotificationState, wish: ResendSince) -> bool:
    step = state.steps.get(wish.channel)
    return (
        step is not None
        and step.status in ("sent", "delivered", "failed")
        and step.delivery_id is not None
        and step.updated_at is not None
        and step.updated_at >= wish.since
        and wish.user_id in (None, state.content["user_id"])
    )
