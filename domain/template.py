"""A notification's template: a named text in several languages, each change of which is a version."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from domain.aggregate import Aggregate, Event
from domain.notification_errors import NoSuchTemplate

KIND = "template"
Locales = dict[str, dict[str, Any]]


class Saved(Event):
    TOPIC: ClassVar[str] = "template.saved"
    name: str
    version: int
    locale: str
    title: str
    message: str
    html: str | None

    def apply(self, template: Template) -> None:
        text = {"title": self.title, "message": self.message, "html": self.html}
        before = {} if template.removed else template.locales
        template.name, template.removed, template.updated_at = self.name, False, self.timestamp
        template.versions.append({**before, self.locale: text})


class Removed(Event):
    TOPIC: ClassVar[str] = "template.removed"
    name: str

    def apply(self, template: Template) -> None:
        template.removed = True


class Template(Aggregate):
    """All versions of one template. The empty locale is for everybody who has no better one."""

    KIND: ClassVar[str] = KIND

    name: str
    updated_at: datetime

    def __base_init__(self, originator_id: Any, originator_version: int, timestamp: datetime) -> None:
        super().__base_init__(originator_id, originator_version, timestamp)
        # The first one has number 1. A list, since a snapshot is JSON, whose keys are text.
        self.versions: list[Locales] = []
        self.removed = False

    @property
    def newest(self) -> int:
        """The number of the newest version."""
        return len(self.versions)

    @property
    def locales(self) -> Locales:
        """The texts of the newest version, by language."""
        return self.versions[-1] if self.versions else {}

    @classmethod
    def create(cls, stream: str, name: str, locale: str, text: dict[str, Any], now: datetime) -> Self:
        return cls.created_by(Saved(stream, 1, now, name=name, version=1, locale=locale, **text))

    def save(self, locale: str, text: dict[str, Any], now: datetime) -> None:
        """A new version, in which this language has this text; the same text changes nothing."""
        if self.removed or self.locales.get(locale) != text:
            self.trigger_event(Saved, timestamp=now, name=self.name, version=self.newest + 1, locale=locale, **text)

    def remove(self, now: datetime) -> None:
        """Nothing can be sent with it any more. Repeating changes nothing."""
        if not self.removed:
            self.trigger_event(Removed, timestamp=now, name=self.name)

    def at(self, version: int | None) -> tuple[int, Locales]:
        """The texts of a version, by default of the newest.

        Raises:
            NoSuchTemplate: there is none, or it was removed.
        """
        wanted = self.newest if version is None else version
        if not 1 <= wanted <= self.newest or (self.removed and version is None):
            raise NoSuchTemplate(self.name)
        return wanted, self.versions[wanted - 1]

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.newest,
            "locales": self.locales,
            "removed": self.removed,
            "updated_at": self.updated_at,
        }
