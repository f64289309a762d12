"""The ways in which stages may be written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Stages = Iterable[str | Mapping[str, Any]] | Mapping[str, float]


def listed(stages: Stages) -> list[Any]:
    """Stages as they go over the wire: names, or names with weights."""
    if isinstance(stages, Mapping):
        return [{"name": name, "weight": weight} for name, weight in stages.items()]
    return [dict(stage) if isinstance(stage, Mapping) else stage for stage in stages]
