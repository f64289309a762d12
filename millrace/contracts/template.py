"""Templates of notifications on the wire: named texts with versions, in several languages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from millrace.contracts.notification import Bag
from millrace.contracts.rendering import Text as TemplateText
from millrace.contracts.rendering import check
from millrace.contracts.wire import Fact, Message, Name, Text

Locale = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
Title = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]


class TemplateBody(Message):
    """A template's text: Jinja2, with the variables of `context` and `user_id`, `category` and `locale`.

    Attributes:
        html: is escaped by itself; without it there is only text.
        locale: the language; without one it is for everybody who has no better one.
    """

    title: Title
    message: Text = ""
    html: Text | None = None
    locale: Locale | None = None

    @model_validator(mode="after")
    def _readable(self) -> TemplateBody:
        check(TemplateText(self.title, self.message, self.html))
        return self


class SaveTemplate(TemplateBody):
    """`template.save`: a new version, in which this language has this text; the same text makes none."""

    name: Name


class RemoveTemplate(Message):
    """`template.remove`: nothing can be sent with it any more; notifications keep their text."""

    name: Name


class GetTemplate(Message):
    """Query `template.get`. `version` is an older one."""

    name: Name
    version: Annotated[int, Field(ge=1)] | None = None


class ListTemplates(Message):
    """Query `template.list`: those that are stored and those of the service's folder, by name."""


class PreviewTemplate(Message):
    """Query `template.preview`: what a notification would say."""

    name: Name
    context: Bag = Field(default_factory=dict)
    locale: Locale | None = None
    user_id: str = ""
    category: str | None = None


class Template(Fact):
    """A template as it is read.

    Attributes:
        version: a number; of one in the service's folder a digest of its files.
        locales: texts by language; the empty one is for everybody else.
    """

    name: str
    version: int | str
    locales: dict[str, dict[str, Any]]
    updated_at: datetime | None = None
    source: str = "stored"


class ListedTemplate(Fact):
    """A template as lists show it: which languages it has, not what it says."""

    name: str
    version: int | str
    locales: tuple[str, ...] = ()
    updated_at: datetime | None = None
    source: str = "stored"


class TemplatePreview(Fact):
    """What a template makes, and which version and language of it."""

    title: str
    message: str
    html: str | None = None
    template: dict[str, Any]


class TemplateSaved(Fact):
    name: str
    version: int
    locale: str
    title: str
    message: str
    html: str | None = None


class TemplateRemoved(Fact):
    name: str


COMMANDS: dict[str, type[Message]] = {"template.save": SaveTemplate, "template.remove": RemoveTemplate}
QUERIES: dict[str, type[Message]] = {
    "template.get": GetTemplate,
    "template.list": ListTemplates,
    "template.preview": PreviewTemplate,
}
EVENTS: dict[str, type[Fact]] = {"template.saved": TemplateSaved, "template.removed": TemplateRemoved}
