"""`NotificationService`: notifications for programs that have no application object, and may bring a mail provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from millrace.contracts.notification import NotificationChannel
from millrace.notification_channels import ChannelSender
from millrace.notifications import Notifications

if TYPE_CHECKING:
    from millrace.client import Millrace


class NotificationService(Notifications):
    """`NotificationService(db=…, email_provider=…)` is `Millrace(…).notifications` with the provider for its mail.

    Args:
        db: an application, or the service's URL; default as for `Millrace`. Where notifications are kept is the
            service's business: it knows its database by itself.
        email_provider: sends the mail of a service that has no provider for it, in a worker of this application, see
            `register_channel`. Where the service has one, that one goes first.

    Attributes:
        app: the application; `async with service.app:` closes its connection in the end.

    Raises:
        TypeError: `db` is neither.
    """

    CHANNELS: ClassVar[tuple[NotificationChannel, ...]] = tuple(NotificationChannel)

    def __init__(self, db: Millrace | str | None = None, *, email_provider: ChannelSender | None = None) -> None:
        from millrace.client import Millrace

        if db is not None and not isinstance(db, Millrace | str):
            raise TypeError(
                f"db is a {type(db).__name__}; give an application or the service's URL: the service has the database"
            )
        self.app = db if isinstance(db, Millrace) else Millrace(db)
        super().__init__(self.app)
        if email_provider is not None:
            self.register_channel(NotificationChannel.EMAIL, email_provider)
