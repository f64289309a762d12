"""Commands and queries by name: the same messages as over AMQP, on routes that validate nothing twice."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.http.body import CLOUDEVENT, CLOUDEVENT_BATCH, json_of, media_type, parse
from adapters.http.call import call_of
from adapters.http.cloudevents import Instruction, read, runs
from adapters.http.door import Door
from adapters.http.problems import HttpProblem, invalid, unsupported
from adapters.http.respond import respond_reply
from millrace.contracts.wire import MAX_BATCH_ITEMS, Accepted, Batch, Refused


def command_routes(door: Door) -> list[Route]:
    """`POST /api/commands/{name}`, `POST /api/queries/{name}`, and `POST /api/commands` for CloudEvents."""

    async def command(request: Request) -> Response:
        call = call_of(request.scope)
        return respond_reply(call, await door.command(request, request.path_params["name"], json_of(call)))

    async def query(request: Request) -> Response:
        call = call_of(request.scope)
        return respond_reply(call, await door.ask(request, request.path_params["name"], json_of(call)))

    async def cloudevents(request: Request) -> Response:
        call = call_of(request.scope)
        match media_type(call):
            case "application/cloudevents+json":
                return respond_reply(call, await _single(door, request, parse(call.body)))
            case "application/cloudevents-batch+json":
                return respond_reply(call, await _batch(door, request, parse(call.body)))
            case _:
                raise unsupported(f"the content type must be {CLOUDEVENT} or {CLOUDEVENT_BATCH}")

    return [
        Route("/api/commands/{name}", command, methods=["POST"]),
        Route("/api/queries/{name}", query, methods=["POST"]),
        Route("/api/commands", cloudevents, methods=["POST"]),
    ]


async def _single(door: Door, request: Request, value: object) -> Accepted | Refused:
    instruction = read(value, door.context(request))
    reply = await door.command(request, instruction.name, instruction.body, instruction.context)
    if isinstance(reply, Batch):
        raise invalid("the data of a CloudEvent is one JSON object")
    return reply


async def _batch(door: Door, request: Request, value: object) -> Batch:
    if not isinstance(value, list) or len(value) > MAX_BATCH_ITEMS:
        raise invalid(f"the body must be an array of at most {MAX_BATCH_ITEMS} CloudEvents")
    context = door.context(request)
    instructions: list[Instruction | Refused] = []
    for item in value:
        try:
            instructions.append(read(item, context))
        except HttpProblem as error:
            # A bad item is its own refusal and leaves the others unharmed.
            instructions.append(Refused(error.problem))
    answers: list[Accepted | Refused] = []
    for run in runs(instructions):
        if isinstance(run, Refused):
            answers.append(run)
            continue
        body = [{"id": each.context.message_id, "body": each.body} for each in run]
        reply = await door.command(request, run[0].name, body, run[0].context)
        answers.extend(reply.items if isinstance(reply, Batch) else [reply] * len(run))
    return Batch(answers)
