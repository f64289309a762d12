"""The answer of what has nothing else to tell."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Success(BaseModel):
    """Answer to `DELETE /api/jobs/{id}`."""

    success: Literal[True] = True
