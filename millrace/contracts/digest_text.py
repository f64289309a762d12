"""What a digest says: the tenant's template `digest`, or what is built in. The service in memory says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.contracts.rendering import Text

TEMPLATE = "digest"
BUILT_IN_VERSION = "built-in"
BUILT_IN = Text(
    "{{ count }} notifications",
    "{% for each in notifications %}• {{ each.line }}\n{% endfor %}{% if more %}… and {{ more }} more{% endif %}",
)
SHOWN = 50
SHOWN_CHARACTERS = 300
FIELDS = ("title", "type", "category", "action_url", "action_label")


def shown(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a digest knows of a notification: its fields, its message by its beginning, and both in one `line`."""
    title, message = content["title"], content["message"]
    line = f"{title}: {message}" if message else title
    return {**{name: content[name] for name in FIELDS}, "message": _beginning(message), "line": _beginning(line)}


def variables(user_id: str, channel: str, count: int, notifications: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the template is filled with; `more` are those that are not shown."""
    told = list(notifications[:SHOWN])
    return {
        "user_id": user_id,
        "channel": channel,
        "count": count,
        "notifications": told,
        "more": count - len(told),
    }


def _beginning(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
