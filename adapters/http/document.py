"""The OpenAPI document: the REST routes as FastAPI sees them, commands and queries from their contracts."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from adapters.http import (
    cloudevents,
    dead_letters,
    envelope,
    jobs,
    live_tickets,
    notifications,
    subscriptions,
    templates,
)
from adapters.http.answers import COMMAND_RESULTS, QUERY_RESULTS
from adapters.http.call import REPLY_PREFIXES
from adapters.http.operations import ERRORS, PROBLEM_REF
from millrace.contracts import circuit, inbox, job, progress, queue, schedule, template
from millrace.contracts.catalogue import COMMANDS, QUERIES
from millrace.contracts.wire import MAX_BATCH_ITEMS, Message, Problem

REST_BODIES: tuple[type[BaseModel], ...] = (
    jobs.Reason,
    live_tickets.TicketWish,
    dead_letters.Edit,
    job.JobChange,
    queue.QueueSettings,
    circuit.CircuitPolicy,
    schedule.ScheduleChanges,
    progress.ProgressChange,
    progress.ProgressAdvance,
    progress.ProgressResult,
    progress.ProgressError,
    progress.ProgressReason,
    progress.ProgressAttempt,
    progress.ProgressCheckpoint,
    notifications.Many,
    templates.Filling,
    template.TemplateBody,
    notifications.Snoozing,
    notifications.ReceiptBody,
    inbox.NotificationPreferences,
    inbox.ContactChanges,
    subscriptions.Acknowledgment,
    subscriptions.Parking,
    subscriptions.Releasing,
    subscriptions.Activation,
)

TENANT = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
PRINTABLE = {"type": "string", "maxLength": 128, "pattern": "^[!-~]([ -~]*[!-~])?$"}
HEADERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "IdempotencyKey": ("Idempotency-Key", "Identifies the command: a repeat gets the same answer.", PRINTABLE),
    "TenantId": ("X-Tenant-Id", "The tenant; with an API key it must be the key's own.", TENANT),
    "CompanyId": ("X-Company-Id", "A subdivision of the tenant.", TENANT),
    "CorrelationId": ("X-Correlation-Id", "Identifies everything that this request causes.", PRINTABLE),
    "CausationId": ("X-Causation-Id", "The event or command that caused this request.", PRINTABLE),
    "Actor": ("X-Actor", "The person on whose behalf the caller acts.", PRINTABLE),
    "Traceparent": ("traceparent", "W3C trace context; ignored where malformed.", {"type": "string"}),
    "MinPosition": ("X-Min-Position", "Wait until the read model has reached this position.", PRINTABLE),
}
FOR_ALL = ("TenantId", "CompanyId", "CorrelationId", "CausationId", "Actor", "Traceparent")
VALIDATION: Literal["validation", "serialization"] = "validation"
REFUSED = {
    "type": "object",
    "required": ["ok", "error"],
    "properties": {"ok": {"const": False}, "error": PROBLEM_REF},
}

ERROR_CONTENT = {
    "Problem": {"application/problem+json": {"schema": PROBLEM_REF}},
    "Refused": {"application/json": {"schema": REFUSED}},
    "Enveloped": {"application/json": {"schema": envelope.schema(None)}},
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of everything that the application answers under `/api`, `/api/v1` and beside them."""
    made = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        routes=app.routes,
        separate_input_output_schemas=False,
    )
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name, schema in _schemas().items():
        schemas.setdefault(name, schema)
    components["parameters"] = {key: _header(*words) for key, words in HEADERS.items()}
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    components["responses"] = {
        f"{style}{status}": {"description": text, "content": content}
        for style, content in ERROR_CONTENT.items()
        for status, text in ERRORS.items()
    }
    made["security"] = [{}, {"bearer": []}, {"apiKey": []}]
    paths: dict[str, Any] = made["paths"]
    for name, model in COMMANDS.items():
        paths[f"/api/commands/{name}"] = {"post": _command(name, model)}
    paths["/api/commands"] = {"post": _cloudevents()}
    for name, model in QUERIES.items():
        paths[f"/api/queries/{name}"] = {"post": _query(name, model)}
    for path in [path for path in paths if path.startswith("/api/")]:
        for method, operation in paths[path].items():
            _add_headers(path, method, operation)
            _refer_errors(operation, "Refused" if path.startswith(REPLY_PREFIXES) else "Problem")
        paths["/api/v1/" + path.removeprefix("/api/")] = {
            method: _enveloped(operation) for method, operation in deepcopy(paths[path]).items()
        }
    return made


def _schemas() -> dict[str, Any]:
    requests: Iterable[type[BaseModel]] = (*COMMANDS.values(), *QUERIES.values(), *REST_BODIES, Problem)
    answers: Iterable[type[BaseModel]] = (*COMMAND_RESULTS.values(), *QUERY_RESULTS.values())
    models: list[type[BaseModel]] = [*requests, *answers, cloudevents.CommandEvent]
    _, taken = models_json_schema(
        [(model, VALIDATION) for model in dict.fromkeys(models)],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = taken["$defs"]
    return schemas


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    return {media_type: {"schema": schema}}


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _accepted(result: type[BaseModel]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["ok", "result", "position"],
        "properties": {"ok": {"const": True}, "result": _ref(result), "position": {"type": ["string", "null"]}},
    }


def _batch(*items: dict[str, Any]) -> dict[str, Any]:
    results = {"type": "array", "items": {"anyOf": [*items, REFUSED]}}
    return {"type": "object", "required": ["ok", "results"], "properties": {"ok": {"const": True}, "results": results}}


def _operation(kind: str, name: str, description: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "tags": [kind],
        "operationId": f"{kind}_{name.replace('.', '_')}",
        "summary": name,
        "description": description,
        "requestBody": {"required": True, "content": body},
        "responses": {"200": {"description": "The reply", "content": _json(answer)}},
    }


def _command(name: str, model: type[Message]) -> dict[str, Any]:
    one = _ref(model)
    with_id = {
        "type": "object",
        "required": ["id", "body"],
        "properties": {"id": {"type": "string"}, "body": one},
        "additionalProperties": False,
    }
    many = {"type": "array", "maxItems": MAX_BATCH_ITEMS, "items": {"anyOf": [one, with_id]}}
    accepted = _accepted(COMMAND_RESULTS[name])
    answer = {"anyOf": [accepted, _batch(accepted)]}
    return _operation("command", name, model.__doc__ or name, _json({"anyOf": [one, many]}), answer)


def _query(name: str, model: type[Message]) -> dict[str, Any]:
    return _operation("query", name, model.__doc__ or name, _json(_ref(model)), _accepted(QUERY_RESULTS[name]))


def _cloudevents() -> dict[str, Any]:
    one = _ref(cloudevents.CommandEvent)
    body = {
        **_json(one, "application/cloudevents+json"),
        **_json({"type": "array", "items": one}, "application/cloudevents-batch+json"),
    }
    anything = {
        "type": "object",
        "required": ["ok", "result", "position"],
        "properties": {"ok": {"const": True}, "result": {"type": "object"}, "position": {"type": ["string", "null"]}},
    }
    answer = {"anyOf": [anything, _batch(anything)]}
    return _operation("command", "cloudevents", "Commands that come as CloudEvents.", body, answer)


def _add_headers(path: str, method: str, operation: dict[str, Any]) -> None:
    asks = method == "get" or path.startswith("/api/queries/")
    names = (*FOR_ALL, "MinPosition") if asks else ("IdempotencyKey", *FOR_ALL)
    references = [{"$ref": f"#/components/parameters/{name}"} for name in names]
    operation["parameters"] = [*operation.get("parameters", ()), *references]


def _enveloped(operation: dict[str, Any]) -> dict[str, Any]:
    """The same operation under `/api/v1`."""
    operation["operationId"] = "v1_" + operation["operationId"]
    for response in operation["responses"].values():
        content = response.get("content", {})
        if "application/json" in content:
            response["content"] = _json(envelope.schema(_data(content["application/json"]["schema"])))
    _refer_errors(operation, "Enveloped")
    return operation


def _refer_errors(operation: dict[str, Any], style: str) -> None:
    for status in ERRORS:
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/{style}{status}"}


def _data(schema: dict[str, Any]) -> dict[str, Any]:
    """What the envelope holds: of a reply only its result or its results, as `ok` is said by the envelope."""
    if "anyOf" in schema and all("ok" in each.get("properties", {}) for each in schema["anyOf"]):
        return {"anyOf": [_data(each) for each in schema["anyOf"]]}
    properties = schema.get("properties", {})
    if "result" in properties:
        return dict(properties["result"])
    if "results" in properties:
        return {"type": "object", "required": ["results"], "properties": {"results": properties["results"]}}
    return schema
