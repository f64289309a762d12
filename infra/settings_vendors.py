"""Which vendors are built in for each replaceable part, and how an adapter package adds one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points

from infra.settings_errors import UnsupportedVendor


@dataclass(frozen=True, slots=True)
class VendorChoice:
    """One replaceable part.

    Attributes:
        supported: the vendors that are built in.
        entry_point: the entry point group where adapter packages register others by name.
        replaced: names that are accepted although another, built-in vendor does the work.
    """

    supported: tuple[str, ...]
    entry_point: str
    replaced: Mapping[str, str] = field(default_factory=dict)


READ_MODELS = VendorChoice(("postgresql",), "millrace.event_store")
VENDORS: Mapping[str, VendorChoice] = {
    "jobs.broker.type": VendorChoice(("built-in", "rabbitmq", "postgresql"), "millrace.bus", {"redis": "built-in"}),
    "jobs.storage.type": VendorChoice(("local",), "millrace.storage"),
    "progress.storage.type": READ_MODELS,
    "notifications.storage.type": READ_MODELS,
    "notifications.channels.in-app.provider": VendorChoice(("built-in",), "millrace.channels"),
    "notifications.channels.email.provider": VendorChoice(
        ("smtp", "sendgrid", "ses", "mailgun", "file"), "millrace.channels"
    ),
    "notifications.channels.push.provider": VendorChoice(("firebase", "onesignal", "apprise"), "millrace.channels"),
    "notifications.channels.sms.provider": VendorChoice(("twilio", "apprise"), "millrace.channels"),
    "notifications.channels.webhook.provider": VendorChoice(("built-in",), "millrace.channels"),
    "exports.storage.type": VendorChoice(("local", "s3"), "millrace.storage"),
    "search.vector_db.type": VendorChoice(("pgvector", "weaviate"), "millrace.search"),
    "search.embeddings.provider": VendorChoice(("local", "cohere"), "millrace.embeddings"),
}


def require_vendor(key: str, vendor: str) -> str | None:
    """Return when `vendor` can be used at `key` of the modules' tree.

    Returns:
        A notice for the log where another vendor stands in for it, else None.

    Raises:
        UnsupportedVendor: it is neither built in nor an installed adapter.
    """
    choice = VENDORS[key]
    if vendor in choice.supported or entry_points(group=choice.entry_point, name=vendor):
        return None
    if vendor in choice.replaced:
        return f"modules.{key}: {choice.replaced[vendor]!r} does the work of {vendor!r}; nothing is kept in {vendor}"
    raise UnsupportedVendor(f"modules.{key}", vendor, choice.supported, choice.entry_point)
