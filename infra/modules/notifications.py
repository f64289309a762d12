"""Notifications, the inboxes that they come to, and their templates."""

from __future__ import annotations

from functools import partial

from adapters.postgres.inbox_reads import PostgresInboxReads
from adapters.postgres.notification_queries import NotificationQueries
from adapters.postgres.sent_notifications import PostgresSentNotifications
from adapters.postgres.template_queries import TemplateQueries
from handlers import inbox, inbox_reading, notification, notification_resend, notification_steps, template
from infra.composition import Base, Loop, Module, leading
from infra.notifying import notification_policy, notifying_of
from millrace.contracts.wire import Token
from projections.notifications import NotificationsProjection


def notifications(base: Base) -> Module:
    storage = base.storage
    policy = notification_policy(base.settings, base.channels)
    # As for progress: the commands that its past still brings stay where it is off.
    internal = {**notification_steps.internal_routes(policy.folder), **inbox_reading.internal_routes()}
    reads = PostgresInboxReads(storage.pool)
    reactions = [inbox_reading.reaction(reads, partial(_shown, base))]
    if not base.settings.modules.notifications.enabled:
        return Module(internal=internal, reactions=reactions)
    notifying = notifying_of(base.settings, storage, base.pipeline, base.channels, policy, base.wait_for)
    return Module(
        commands={**notification.command_routes(policy), **inbox.command_routes(), **template.command_routes()},
        internal=internal,
        queries={
            **NotificationQueries(storage.pool, storage.store, storage.positions).routes(),
            **TemplateQueries(storage.pool, storage.store, policy.folder).routes(),
        },
        operations=notification_resend.operation_routes(
            PostgresSentNotifications(storage.pool, storage.store, storage.positions), base.pipeline
        ),
        reactions=reactions,
        loops=[
            Loop("timers", "deliverer", leading(storage, "deliverer", notifying.deliverer.run)),
            Loop("timers", "notification retention", notifying.retention.run),
        ],
        drains=[notifying.deliverer.drain],
    )


async def _shown(base: Base, position: int) -> None:
    await base.wait_for(NotificationsProjection.name, Token.text(base.storage.epoch, position))
