"""The WebSockets of the live feed in the AsyncAPI document."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from millrace.contracts import feed

CHANNELS: dict[str, tuple[str, str, tuple[type[BaseModel], ...]]] = {
    "live": (
        "/ws/{client_id}",
        "Events by pattern from any position, and who is connected.",
        (feed.Follow, feed.Unfollow, feed.AskPresence, feed.Ping),
    ),
    "live.progress": (
        "/ws/progress",
        "What a progress is, then every update of it.",
        (feed.FollowProgress, feed.UnfollowProgress, feed.Ping),
    ),
    "live.notifications": (
        "/ws/notifications",
        "A user's unread notifications, then whatever changes the inbox.",
        (feed.ReadNotification, feed.AskUnread, feed.Ping),
    ),
}
SCHEMAS = "#/components/schemas/"
TOLD = "live.told"


def with_live_feed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the channels, operations and messages of the WebSockets."""
    said_by_clients = [model for _, _, said in CHANNELS.values() for model in said]
    models: list[type[BaseModel]] = list(dict.fromkeys([*said_by_clients, feed.LiveMessage]))
    references, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=SCHEMAS + "{model}"
    )
    messages: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for model in models:
        summary = (model.__doc__ or "").partition("\n")[0]
        reference = references[model, "validation"]
        messages[_name(model)] = {
            "name": _name(model), "summary": summary, "contentType": "application/json", "payload": reference,
        }  # fmt: skip
    for name, (address, summary, said) in CHANNELS.items():
        own = [_name(model) for model in said]
        channels[name] = {
            "address": address,
            "description": summary,
            "servers": [{"$ref": "#/servers/http"}],
            "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in [*own, TOLD]},
        }
        if "{client_id}" in address:
            channels[name]["parameters"] = {"client_id": {"description": "What others see the client as."}}
        if name == "live.notifications":
            user = {"type": "object", "required": ["user_id"], "properties": {"user_id": {"type": "string"}}}
            channels[name]["bindings"] = {"ws": {"query": user, "bindingVersion": "0.1.0"}}
        operations[f"{name}.said"] = _operation("receive", name, own)
        operations[f"{name}.told"] = _operation("send", name, [TOLD])
    components = document["components"]
    return {
        **document,
        "servers": {**document["servers"], "http": {"host": "localhost:8000", "protocol": "ws"}},
        "channels": {**document["channels"], **channels},
        "operations": {**document["operations"], **operations},
        "components": {
            **components,
            "messages": {**components["messages"], **messages},
            "schemas": {**components["schemas"], **definitions["$defs"]},
        },
    }


def _name(model: type[BaseModel]) -> str:
    if model is feed.LiveMessage:
        return TOLD
    action = get_args(model.model_fields["action"].annotation)[0]
    about = {"FollowProgress": "progress.", "UnfollowProgress": "progress."}.get(model.__name__, "")
    return f"live.{about}{action}"


def _operation(action: str, channel: str, messages: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{each}"} for each in messages],
    }
