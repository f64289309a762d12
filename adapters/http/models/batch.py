"""Answers about batches."""

from __future__ import annotations

from pydantic import BaseModel

from millrace.contracts.batch import Batch


class BatchChanged(BaseModel):
    """Answer to the commands on a batch."""

    batch_id: str
    is_sealed: bool
    is_cancelled: bool


class BatchAnswer(BaseModel):
    """Answer to `batch.get`."""

    batch: Batch


class BatchPage(BaseModel):
    """Answer to `batch.list`."""

    batches: list[Batch]
    cursor: str | None = None
