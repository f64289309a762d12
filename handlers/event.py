"""Publishing an application's own events."""

from __future__ import annotations

from typing import Any

from domain.event import Publication
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts import event as contract
from millrace.contracts.wire import Context, derived_id


def publish(publication: Publication | None, command: contract.Publish, at: Moment) -> Decided:
    if publication is None:
        publication = Publication.publish(at.stream, at.now, event_type=command.event_type, payload=command.payload)
    return Decided(publication, {"event_id": at.id, "event_type": publication.event_type})


def _derived(_: Any, context: Context) -> str:
    return derived_id(context.tenant, context.message_id, context.principal)


def command_routes() -> dict[str, CommandRoute]:
    return {
        "event.publish": CommandRoute(contract.Publish, Publication, publish, _derived, creates=True, required=False)
    }
