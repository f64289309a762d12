"""Templates: the commands, and what a notification says that is made from one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.notification_errors import TemplateUnfilled, UnknownTemplate
from domain.template import KIND, Locales, Template
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts import template as contract
from millrace.contracts.rendering import TemplateProblem, Text, fallbacks, render
from millrace.contracts.wire import Context


@dataclass(frozen=True, slots=True)
class FolderTemplate:
    """A template that the service has as files. `version` is a digest of them."""

    name: str
    version: str
    locales: Locales


Folder = Mapping[str, FolderTemplate]


def save(template: Template | None, command: contract.SaveTemplate, at: Moment) -> Decided:
    text = command.model_dump(include={"title", "message", "html"})
    locale = (command.locale or "").replace("_", "-")
    if template is None:
        template = Template.create(at.stream, command.name, locale, text, at.now)
    else:
        template.save(locale, text, at.now)
    return Decided(template, {"name": command.name, "version": template.newest})


def remove(template: Template, command: contract.RemoveTemplate, at: Moment) -> Decided:
    template.remove(at.now)
    return Decided(template, {"name": command.name, "version": template.newest})


def filled(
    name: str, stored: Template | None, folder: Folder, locale: str | None, context: Mapping[str, Any]
) -> tuple[Text, dict[str, Any]]:
    """What the template says in the best of its languages, and which version and language that is.

    Raises:
        UnknownTemplate: there is none of that name, or it has nothing for this language and nothing for everybody.
        TemplateUnfilled: a variable is missing, or the result is too long.
    """
    version: int | str
    if stored is not None and not stored.removed:
        version, locales = stored.at(None)
    elif name in folder:
        version, locales = folder[name].version, folder[name].locales
    else:
        raise UnknownTemplate(name)
    found = next((each for each in fallbacks(locale) if each in locales), None)
    if found is None:
        raise UnknownTemplate(name)
    try:
        text = render(Text(**locales[found]), {**context, "locale": locale})
    except TemplateProblem as problem:
        raise TemplateUnfilled(name, str(problem)) from None
    return text, {"name": name, "version": version, "locale": found or None}


def stored_template(at: Moment, name: str) -> Template | None:
    """The template of that name among what the decision was told of."""
    found = at.read.get((KIND, name))
    return found if isinstance(found, Template) else None


def _named(command: Any, _: Context) -> str:
    return str(command.name)


def command_routes() -> dict[str, CommandRoute]:
    """Commands that a template decides."""
    return {
        "template.save": CommandRoute(contract.SaveTemplate, Template, save, _named, required=False),
        "template.remove": CommandRoute(contract.RemoveTemplate, Template, remove, _named),
    }
