"""Templates in memory: the commands, the queries, and what a notification says that is made from one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from millrace.contracts import template as contract
from millrace.contracts.rendering import TemplateProblem, Text, fallbacks, render
from millrace.contracts.wire import Context, Fact
from millrace.testing.commands import Route
from millrace.testing.log import MemoryLog, Stream
from millrace.testing.notification_state import TemplateState
from millrace.testing.query import Query
from millrace.testing.refusals import Refusal

KIND = "template"


class MemoryTemplates:
    """Every stored template of the service in memory; it has no folder."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def has(self, tenant: str, name: str) -> bool:
        """Whether there is a template of that name, in some language."""
        template = self._stored(tenant, name)
        return template is not None and not template.removed

    def filled(
        self, tenant: str, name: str, locale: str | None, context: Mapping[str, Any]
    ) -> tuple[Text, dict[str, Any]]:
        """What the template says, and which version and language of it. Raises `Refusal` where it cannot."""
        template = self._stored(tenant, name)
        locales = {} if template is None or template.removed else template.locales
        found = next((each for each in fallbacks(locale) if each in locales), None)
        if template is None or found is None:
            detail = f"template: there is no template {name!r}; save it, or put it into the service's folder"
            raise Refusal("invalid", detail)
        try:
            text = render(Text(**locales[found]), {**context, "locale": locale})
        except TemplateProblem as problem:
            raise Refusal("invalid", f"template {name!r} cannot be filled: {problem}") from None
        return text, {"name": name, "version": template.newest, "locale": found or None}

    def command_routes(self) -> dict[str, Route]:
        """Commands that a template decides."""

        def save(state: TemplateState | None, command: contract.SaveTemplate, now: datetime) -> list[Fact]:
            text = command.model_dump(include={"title", "message", "html"})
            locale = (command.locale or "").replace("_", "-")
            if state is not None and not state.removed and state.locales.get(locale) == text:
                return []
            version = 1 if state is None else state.newest + 1
            return [contract.TemplateSaved(name=command.name, version=version, locale=locale, **text)]

        def remove(state: TemplateState, command: contract.RemoveTemplate, now: datetime) -> list[Fact]:
            return [] if state.removed else [contract.TemplateRemoved(name=command.name)]

        def named(command: Any, _: Context) -> str:
            return str(command.name)

        def told(id: str, state: Any) -> dict[str, Any]:
            return {"name": id, "version": state.newest}

        return {
            "template.save": Route(contract.SaveTemplate, KIND, named, save, told, creates=True),
            "template.remove": Route(contract.RemoveTemplate, KIND, named, remove, told),
        }

    def query_routes(self) -> dict[str, Query]:
        """Questions to the templates."""
        return {
            "template.get": Query(contract.GetTemplate, self._get),
            "template.list": Query(contract.ListTemplates, self._list),
            "template.preview": Query(contract.PreviewTemplate, self._preview),
        }

    def _get(self, tenant: str, query: contract.GetTemplate) -> dict[str, Any]:
        template = self._stored(tenant, query.name)
        version = template.newest if template is not None and query.version is None else query.version
        if template is None or version not in template.versions or (template.removed and query.version is None):
            detail = f"there is no template {query.name!r}, or not this version of it"
            raise Refusal("not-found", detail)
        shown = template.to_wire() | {"version": version, "locales": template.versions[version], "source": "stored"}
        return {"template": {name: value for name, value in shown.items() if name != "removed"}}

    def _list(self, tenant: str, _: contract.ListTemplates) -> dict[str, Any]:
        found = [
            {
                "name": state.name,
                "version": state.newest,
                "locales": sorted(state.locales),
                "updated_at": state.updated_at,
                "source": "stored",
            }
            for stream, state in self._log.states.items()
            if stream.tenant == tenant and isinstance(state, TemplateState) and not state.removed
        ]
        return {"templates": sorted(found, key=lambda each: str(each["name"]))}

    def _preview(self, tenant: str, query: contract.PreviewTemplate) -> dict[str, Any]:
        given = {"user_id": query.user_id, "category": query.category, **query.context}
        text, used = self.filled(tenant, query.name, query.locale, given)
        return {**text._asdict(), "template": used}

    def _stored(self, tenant: str, name: str) -> TemplateState | None:
        state = self._log.states.get(Stream(KIND, tenant, name))
        return state if isinstance(state, TemplateState) else None
