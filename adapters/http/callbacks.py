"""What providers tell later about messages that they had taken; their signature is their credential."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from adapters.channels.callback import (
    BadSignature,
    Callback,
    CallbackReader,
    CallbackUnavailable,
    Told,
    UnreadableCallback,
)
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.models.success import Success
from adapters.http.operations import errors
from adapters.http.problems import HttpProblem, invalid, problem
from adapters.http.respond import respond
from millrace.contracts.wire import Context, Refused

AT_ONCE = 100
COMMAND = "notification.receipt"
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {}},
            "application/x-www-form-urlencoded": {"schema": {}},
            "text/plain": {"schema": {}},
        },
    }
}
log = structlog.get_logger("adapters.callbacks")


def callback_routes(door: Door, readers: Mapping[str, CallbackReader]) -> APIRouter:
    """The route of the providers' calls.

    Args:
        readers: by the provider's name; others are answered 404.
    """
    router = APIRouter(tags=["notifications"], responses=errors())

    @router.post(
        "/api/notifications/callbacks/{provider}",
        response_model=Success,
        operation_id="take_provider_callback",
        openapi_extra=BODY,
    )
    async def take(request: Request, provider: str) -> Response:
        """Notes what SendGrid, Mailgun, Amazon SES or Twilio tells about messages that it had taken. It needs no key:
        what is not signed by the provider is refused. Repeating it changes nothing."""
        call = call_of(request.scope)
        reader = readers.get(provider)
        if reader is None:
            raise HttpProblem(problem(404, "no calls are taken here: the settings have no key to verify them by"))
        query = request.scope["query_string"].decode("latin-1")
        try:
            found = await reader.read(Callback(call.headers, query, call.body))
        except BadSignature as error:
            log.warning("a call was refused", action="callback_refused", provider=provider, reason=error.reason)
            raise HttpProblem(problem(401, str(error), code="bad-signature")) from None
        except UnreadableCallback as error:
            raise invalid(str(error)) from None
        except CallbackUnavailable as error:
            log.warning(
                "a call cannot be verified", action="callback_unavailable", provider=provider, reason=error.reason
            )
            raise HttpProblem(problem(503, str(error), code="unavailable", retry_after=1)) from None
        for begin in range(0, len(found), AT_ONCE):
            await asyncio.gather(*(_note(reader.name, each) for each in found[begin : begin + AT_ONCE]))
        return respond(call, {"success": True})

    async def _note(provider: str, told: Told) -> None:
        context = Context(told.tenant, told.id, principal=f"provider:{provider}")
        body = {
            "notification_id": told.notification_id,
            "channel": told.channel,
            "status": told.status,
            "reason": told.reason,
            "provider": provider,
            "provider_message_id": told.provider_message_id or None,
        }
        reply = await door.gateway.execute(COMMAND, body, context)
        if not isinstance(reply, Refused):
            return
        if reply.problem.status in (429, 503, 504):
            # The provider tells it again.
            raise HttpProblem(reply.problem)
        log.info("a call tells nothing new", action="callback_ignored", provider=provider, code=reply.problem.code)

    return router
