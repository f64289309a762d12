"""`app.notifications.templates`: named texts that notifications are made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millrace.contracts.template import ListedTemplate, Template, TemplatePreview
from millrace.errors import NotFound

if TYPE_CHECKING:
    from millrace.client import Millrace

# The methods below include one called `list`.
Listed = list[ListedTemplate]


class Templates:
    """Saves, reads and tries templates; `send(template=name, context=…)` uses them."""

    def __init__(self, app: Millrace) -> None:
        self._app = app

    async def save(
        self, name: str, *, title: str, message: str = "", html: str | None = None, locale: str | None = None
    ) -> int:
        """Saves a new version, in which this language has this text, and returns its number; the same text makes none.

        Args:
            locale: `de`, `de-CH`; without one the text is for everybody who has no better one.

        Raises:
            Invalid: a part is no Jinja2, or has what no template may have.
        """
        given = {"name": name, "title": title, "message": message, "html": html, "locale": locale}
        body = {key: value for key, value in given.items() if value is not None}
        return int((await self._app.link.execute("template.save", body)).result["version"])

    async def get(self, name: str, version: int | None = None) -> Template | None:
        """The newest version, or an older one; None where there is none."""
        body = {"name": name} if version is None else {"name": name, "version": version}
        try:
            answer = await self._app.link.query("template.get", body)
        except NotFound:
            return None
        return Template.model_validate(answer["template"])

    async def list(self) -> Listed:
        """The templates that are stored, and those of the service's folder, by name."""
        answer = await self._app.link.query("template.list", {})
        return [ListedTemplate.model_validate(each) for each in answer["templates"]]

    async def remove(self, name: str) -> None:
        """Nothing can be sent with it any more; what was sent keeps its text.

        Raises:
            NotFound: there never was one.
        """
        await self._app.link.execute("template.remove", {"name": name})

    async def preview(
        self, name: str, context: Mapping[str, Any] | None = None, *, locale: str | None = None, user_id: str = ""
    ) -> TemplatePreview:
        """What a notification would say, and which version and language of the template says it.

        Raises:
            Invalid: there is no such template, or it lacks a variable, which is named.
        """
        body = {"name": name, "context": dict(context or {}), "user_id": user_id}
        answer = await self._app.link.query("template.preview", body if locale is None else {**body, "locale": locale})
        return TemplatePreview.model_validate(answer)
