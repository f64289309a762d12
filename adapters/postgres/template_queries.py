"""Answers the template queries: texts from the streams themselves, the list from the read model."""

from __future__ import annotations

from typing import Any, cast

import asyncpg

from adapters.postgres.errors import translated
from adapters.postgres.event_store import PostgresEventStore
from domain.notification_errors import NoSuchTemplate
from domain.ports import StreamName
from domain.template import KIND, Template
from handlers.routes import QueryRoute
from handlers.template import Folder, filled
from millrace.contracts import template as contract
from millrace.contracts.wire import Context

LIST = "SELECT name, version, locales, updated_at FROM templates WHERE tenant = $1 ORDER BY name"


class TemplateQueries:
    """Answers `template.get`, `template.list` and `template.preview`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], store: PostgresEventStore, folder: Folder) -> None:
        self._pool, self._store, self._folder = pool, store, folder

    def routes(self) -> dict[str, QueryRoute]:
        return {
            "template.get": QueryRoute(contract.GetTemplate, self._get),
            "template.list": QueryRoute(contract.ListTemplates, self._list, "notifications"),
            "template.preview": QueryRoute(contract.PreviewTemplate, self._preview),
        }

    async def _get(self, query: contract.GetTemplate, context: Context) -> dict[str, Any]:
        stored = await self._stored(query.name, context)
        if stored is not None and (not stored.removed or query.version is not None):
            version, locales = stored.at(query.version)
            told = {"version": version, "locales": locales, "updated_at": stored.updated_at, "source": "stored"}
        elif query.name in self._folder and query.version is None:
            found = self._folder[query.name]
            told = {"version": found.version, "locales": found.locales, "updated_at": None, "source": "folder"}
        else:
            raise NoSuchTemplate(query.name)
        return {"template": {"name": query.name, **told}}

    @translated
    async def _list(self, _: contract.ListTemplates, context: Context) -> dict[str, Any]:
        rows = {row["name"]: row for row in await self._pool.fetch(LIST, context.tenant)}
        listed = [{**row, "source": "stored"} for row in rows.values()]
        listed += [
            {"name": name, "version": each.version, "locales": sorted(each.locales), "source": "folder"}
            for name, each in self._folder.items()
            if name not in rows
        ]
        return {"templates": sorted(listed, key=lambda each: str(each["name"]))}

    async def _preview(self, query: contract.PreviewTemplate, context: Context) -> dict[str, Any]:
        given = {"user_id": query.user_id, "category": query.category, **query.context}
        text, used = filled(query.name, await self._stored(query.name, context), self._folder, query.locale, given)
        return {**text._asdict(), "template": used}

    async def _stored(self, name: str, context: Context) -> Template | None:
        stream = StreamName(KIND, context.tenant, name)
        found = (await self._store.load([stream])).get(stream)
        if found is None:
            return None
        return Template.replayed(found.events, cast("Template | None", found.snapshot))
