"""Answers about the state of the service."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Healthy(BaseModel):
    """The process answers."""

    status: Literal["healthy"] = "healthy"


class PartState(BaseModel):
    """One part of the service."""

    status: Literal["ok", "degraded", "down"]
    detail: str | None = None


class Readiness(BaseModel):
    """Whether the service can do its work, and how each of its parts is."""

    status: Literal["ready", "degraded", "not-ready"]
    parts: dict[str, PartState]
