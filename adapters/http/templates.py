"""Templates of notifications over REST."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.models.success import Success
from adapters.http.models.template import TemplateReply
from adapters.http.operations import errors, takes
from adapters.http.respond import respond
from millrace.contracts.notification import Bag
from millrace.contracts.template import ListedTemplate, Locale, Template, TemplateBody, TemplatePreview
from millrace.contracts.wire import Message


class Filling(Message):
    """What a template is filled with."""

    context: Bag = Field(default_factory=dict)
    locale: Locale | None = None
    user_id: str = ""
    category: str | None = None


def template_routes(door: Door) -> APIRouter:
    """The routes of the templates."""
    router = APIRouter(tags=["templates"], responses=errors())

    @router.get("/api/templates", response_model=list[ListedTemplate], operation_id="list_templates")
    async def listing(request: Request) -> Response:
        """The templates that are stored and those of the service's folder, by name."""
        answer = await door.query(request, "template.list", {})
        return respond(call_of(request.scope), answer.result["templates"])

    @router.get("/api/templates/{name}", response_model=Template, operation_id="get_template")
    async def get(request: Request, name: str) -> Response:
        """One template with its texts in all languages."""
        answer = await door.query(request, "template.get", {"name": name})
        return respond(call_of(request.scope), answer.result["template"])

    @router.put(
        "/api/templates/{name}",
        response_model=TemplateReply,
        operation_id="save_template",
        openapi_extra=takes(TemplateBody),
    )
    async def save(request: Request, name: str) -> Response:
        """Saves a new version, in which this language has this text; the same text makes none."""
        call = call_of(request.scope)
        done = await door.execute(request, "template.save", {**object_of(call), "name": name})
        return respond(call, done.result, position=done.position)

    @router.delete("/api/templates/{name}", response_model=Success, operation_id="delete_template")
    async def delete(request: Request, name: str) -> Response:
        """Nothing can be sent with it any more; what was sent keeps its text."""
        done = await door.execute(request, "template.remove", {"name": name})
        return respond(call_of(request.scope), {"success": True}, position=done.position)

    @router.post(
        "/api/templates/{name}/preview",
        response_model=TemplatePreview,
        operation_id="preview_template",
        openapi_extra=takes(Filling),
    )
    async def preview(request: Request, name: str) -> Response:
        """What a notification would say."""
        call = call_of(request.scope)
        answer = await door.query(request, "template.preview", {**object_of(call), "name": name})
        return respond(call, answer.result)

    return router
