"""Builds what sends notifications, from the settings and the channels that have a provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.postgres.due_deliveries import PostgresDueDeliveries
from adapters.postgres.expired_notifications import PostgresExpiredNotifications
from domain.channels import Channel
from handlers.deliverer import Deliverer
from handlers.delivery import Deliveries
from handlers.notification import NotificationPolicy
from handlers.notification_retention import NotificationRetention
from handlers.pipeline import Pipeline
from infra.channel_callbacks import build_callbacks
from infra.settings import Settings
from infra.storage import Storage
from infra.template_folder import read_folders, require_folder
from millrace.contracts.notification import IN_APP
from projections.notifications import NotificationsProjection


@dataclass(frozen=True, slots=True)
class Notifying:
    """The loops about notifications: one process sends, any may remove what is old."""

    deliverer: Deliverer
    retention: NotificationRetention


def notification_policy(settings: Settings, through: Iterable[str]) -> NotificationPolicy:
    """How notifications are sent, given the channels that have a provider.

    Raises:
        SettingsError: a template cannot be used.
    """
    section = settings.modules.notifications
    inbox = section.channels.get("in-app")
    inboxes = {IN_APP} if inbox is None or inbox.enabled else set()
    return NotificationPolicy(
        frozenset(inboxes | set(through)),
        section.delivery.max_attempts,
        section.delivery.backoff,
        section.delivery.timeout,
        section.delivery.concurrency,
        read_folders(_folders(settings)),
    )


def require_notification_settings(settings: Settings) -> None:
    """Return where the service can start with them; asked before it connects to anything.

    Raises:
        SettingsError: a folder of templates that they name is not there, or a key for the calls of a provider is none.
    """
    section = settings.modules.notifications
    if not section.enabled:
        return
    mail = section.channels.get("email")
    if mail is not None and mail.template_dir is not None:
        require_folder("modules.notifications.channels.email.template_dir", Path(mail.template_dir))
    # Nobody has to have the folder that is the default.
    if "dir" in section.templates.model_fields_set:
        require_folder("modules.notifications.templates.dir", Path(section.templates.dir))
    build_callbacks(settings)


def _folders(settings: Settings) -> list[Path]:
    """Where templates lie: those of the mails go before the others."""
    section = settings.modules.notifications
    mail = section.channels.get("email")
    named = [mail.template_dir] if mail is not None and mail.template_dir is not None else []
    return [Path(each) for each in (*named, section.templates.dir)]


def notifying_of(
    settings: Settings,
    storage: Storage,
    pipeline: Pipeline,
    through: Mapping[str, Channel],
    policy: NotificationPolicy,
    wait_for: Callable[[str, str], Awaitable[None]],
) -> Notifying:
    """The deliverer and the retention.

    Args:
        wait_for: waits until a reader has scanned a position token.
    """
    index = PostgresDueDeliveries(storage.pool)
    deliverer = Deliverer(
        index,
        Deliveries(index, storage.store, pipeline, storage.clock, through, policy),
        storage.store,
        policy,
        lambda position: wait_for(NotificationsProjection.name, position),
        storage.epoch,
    )
    kept = settings.modules.notifications.retention
    old = PostgresExpiredNotifications(storage.pool)
    return Notifying(deliverer, NotificationRetention(old, pipeline, kept.read, kept.unread))
