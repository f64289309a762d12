"""The inline projection `queue_rules`: what the claims know of a queue's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from domain.ports import Metadata, Work
from domain.queue import DEFAULTS, Queue


def rules_of(files: Mapping[str, Mapping[str, Any]], queue: Queue, _: str | None, __: Metadata) -> Work:
    """What the claims go by from now on; `files` has the settings of queues that were never configured by command."""
    settings = queue.settings or {**DEFAULTS, **files.get(queue.name, {})}
    told = rules(settings) | {"paused": queue.paused, "from_file": queue.settings is None}
    return Work(place="rules", queue=queue.name, task=to_json(told).decode())


def rules(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A queue's settings as the claims go by them; not paused, and from the configuration file."""
    kept = {name: settings[name] for name in ("order", "aging", "weights")}
    return kept | {"limits": limits_of(settings), "paused": False, "from_file": True}


def limits_of(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The limits one by one, in the order in which a job takes their slots: of its key, its name, its queue."""
    limits = [(1, "", settings["per_key"] or {})]
    limits += [(2, name, limit) for name, limit in sorted(settings["per_name"].items())]
    limits.append((3, "", {"concurrency": settings["concurrency"], "rate": settings["rate"]}))
    return [
        _limit(stage, name, limit) for stage, name, limit in limits if limit.get("concurrency") or limit.get("rate")
    ]


def _limit(stage: int, name: str, limit: Mapping[str, Any]) -> dict[str, Any]:
    rate = limit.get("rate") or {"limit": None, "period": None, "burst": None}
    spacing = rate["period"] / rate["limit"] if rate["limit"] else None
    return {
        "stage": stage, "name": name, "concurrency": limit.get("concurrency"), "spacing": spacing,
        "burst": rate["burst"],
    }  # fmt: skip
