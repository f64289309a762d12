"""The AsyncAPI 3.0 document: every command, query, reply and event, generated from the contracts.

FastStream's generator describes a queue with one handler and its message. Ours carries all commands of all tenants in
one queue, told apart by the routing key, with a reply each, so the document is made from the contracts' own tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from adapters.amqp.topology import CLAIMS, COMMANDS, EVENTS, QUERIES
from millrace.contracts import event, job, job_logs, job_result, log, queue
from millrace.contracts.catalogue import COMMANDS as COMMAND_MODELS
from millrace.contracts.catalogue import EVENTS as EVENT_MODELS
from millrace.contracts.catalogue import QUERIES as QUERY_MODELS
from millrace.contracts.operations import TRANSIENT
from millrace.contracts.wire import Problem

RESULT_MODELS: dict[str, type[BaseModel]] = {
    "job.claim": job.Grants,
    "job.renew": job.Renewed,
    "job.withdraw": job.Withdrawn,
    "job.stats": job.Stats,
    "job.log": job_logs.Logged,
    "job.logs": job_logs.JobLog,
    "job.upload": job_result.Uploaded,
    "job.result": job_result.ResultPart,
    "subscription.lease": event.Leased,
    "queue.drain": queue.Drained,
    "log.read": log.LogPage,
}

_SCHEMAS = "#/components/schemas/"
_REPLY_TO = "$message.header#/reply_to"
_TENANT = {"description": "Who owns the data: 1 to 64 letters, digits, - and _; `default` without tenancy."}


def document(
    version: str = "1.0.0",
    results: Mapping[str, type[BaseModel]] = RESULT_MODELS,
    versions: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Any]:
    """The document as JSON-ready values; the same input gives the same text.

    Args:
        version: of the interface, not of the program.
        results: what commands and queries answer, by name; any object where one is not named.
        versions: of the events' data, by name; 1 where one is not named.
    """
    schemas, references = _schemas(results)
    messages: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for kind, exchange, models in (("command", COMMANDS, COMMAND_MODELS), ("query", QUERIES, QUERY_MODELS)):
        for name, model in models.items():
            messages[name] = _request(name, kind, model, references[model], batch=kind == "command")
            messages[f"{name}.reply"] = _reply(name, kind, results.get(name), references)
            address = CLAIMS if name in TRANSIENT else exchange
            channels[name] = _channel(name, address, name)
            channels[f"{name}.reply"] = {
                "address": None,
                "description": "The queue that the request's `reply_to` names, such as `amq.rabbitmq.reply-to`.",
                "messages": {"reply": {"$ref": f"#/components/messages/{name}.reply"}},
            }
            operations[name] = {
                "action": "receive",
                "summary": _summary(model),
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{_last(name)}"}],
                "reply": {
                    "address": {"location": _REPLY_TO},
                    "channel": {"$ref": f"#/channels/{name}.reply"},
                    "messages": [{"$ref": f"#/channels/{name}.reply/messages/reply"}],
                },
            }
    for name, fact in EVENT_MODELS.items():
        key = f"{name}.event"
        messages[key] = _event(name, versions.get(name, 1), fact, references)
        channels[key] = _channel(name, EVENTS, key)
        operations[key] = {
            "action": "send",
            "summary": _summary(fact) or f"`{name}` was recorded.",
            "channel": {"$ref": f"#/channels/{key}"},
            "messages": [{"$ref": f"#/channels/{key}/messages/{_last(name)}"}],
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Millrace",
            "version": version,
            "description": "Commands and queries in, replies and events out, as JSON over RabbitMQ.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"rabbitmq": {"host": "localhost:5672", "protocol": "amqp", "protocolVersion": "0.9.1"}},
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "messageTraits": {"request": _request_trait()},
            "schemas": schemas,
        },
    }


def _schemas(results: Mapping[str, type[BaseModel]]) -> tuple[dict[str, Any], dict[type[BaseModel], str]]:
    """All schemas by name, and the reference to each model's."""
    tables = (COMMAND_MODELS, QUERY_MODELS, EVENT_MODELS, results, {"": log.CloudEvent}, {"": Problem})
    models = list(dict.fromkeys(model for table in tables for model in table.values()))
    schemas, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_SCHEMAS + "{model}"
    )
    return definitions["$defs"], {model: str(schemas[model, "validation"]["$ref"]) for model in models}


def _channel(name: str, exchange: str, message: str) -> dict[str, Any]:
    return {
        "address": f"{{tenant}}.{name}",
        "parameters": {"tenant": _TENANT},
        "messages": {_last(name): {"$ref": f"#/components/messages/{message}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": exchange, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"},
                "bindingVersion": "0.3.0",
            }
        },
    }


def _request(name: str, kind: str, model: type[BaseModel], reference: str, *, batch: bool) -> dict[str, Any]:
    one: dict[str, Any] = {"$ref": reference}
    item = {
        "type": "object",
        "required": ["id", "body"],
        "additionalProperties": False,
        "properties": {"id": {"type": "string", "maxLength": 128}, "body": one},
    }
    many = {"type": "array", "items": {"anyOf": [one, item]}, "maxItems": 10_000}
    return {
        "name": name,
        "title": f"{kind.capitalize()} {name}",
        "summary": _summary(model),
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/request"}],
        "payload": {"anyOf": [one, many]} if batch else one,
        "correlationId": {"location": "$message.header#/correlation_id"},
    }


def _reply(
    name: str, kind: str, model: type[BaseModel] | None, references: dict[type[BaseModel], str]
) -> dict[str, Any]:
    result: dict[str, Any] = {"$ref": references[model]} if model else {"type": "object"}
    accepted = {
        "type": "object",
        "required": ["ok", "result"],
        "properties": {"ok": {"const": True}, "result": result, "position": {"type": ["string", "null"]}},
    }
    refused = {
        "type": "object",
        "required": ["ok", "error"],
        "properties": {"ok": {"const": False}, "error": {"$ref": references[Problem]}},
    }
    single = [accepted, refused]
    batch = {
        "type": "object",
        "required": ["ok", "results"],
        "properties": {"ok": {"const": True}, "results": {"type": "array", "items": {"anyOf": single}}},
    }
    return {
        "name": f"{name}.reply",
        "title": f"Reply to {name}",
        "contentType": "application/json",
        "payload": {"anyOf": [*single, batch] if kind == "command" else single},
        "correlationId": {"location": "$message.header#/correlation_id"},
    }


def _event(name: str, version: int, model: type[BaseModel], references: dict[type[BaseModel], str]) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"Event {name}",
        "summary": _summary(model),
        "contentType": "application/cloudevents+json",
        "payload": {
            "allOf": [
                {"$ref": references[log.CloudEvent]},
                {"type": "object", "properties": {"eventtype": {"const": name}, "data": {"$ref": references[model]}}},
            ]
        },
        "bindings": {"amqp": {"messageType": f"millrace.{name}.v{version}", "bindingVersion": "0.3.0"}},
    }


def _request_trait() -> dict[str, Any]:
    text = {"type": "string", "maxLength": 128}
    return {
        "headers": {
            "type": "object",
            "description": "`message_id`, `correlation_id`, `reply_to`, `user_id` are AMQP properties.",
            "required": ["message_id"],
            "properties": {
                "message_id": {**text, "description": "Idempotency key: a repetition gets the same answer for 7 days."},
                "correlation_id": {**text, "description": "Comes back with the reply; the message id when absent."},
                "reply_to": {**text, "description": "Where the reply goes. A command without it may be lost."},
                "user_id": {**text, "description": "The caller, validated by the broker."},
                "tenant": {**text, "description": "Must equal the routing key's when given."},
                "company": text,
                "actor": {**text, "description": "The person on whose behalf the caller acts."},
                "correlation": {**text, "description": "What ties everything together that one request caused."},
                "causation": {**text, "description": "The event or command that directly caused this message."},
                "traceparent": {**text, "description": "W3C trace context."},
                "min_position": {**text, "description": "Queries only: wait for the read model, 2 s at most."},
            },
        }
    }


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _summary(model: type[BaseModel]) -> str:
    """The first line of a model's own documentation."""
    own = model.__dict__.get("__doc__") or ""
    return own.strip().partition("\n")[0]
