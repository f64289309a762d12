"""Fixed moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 2, 3, 4, 5, 6, 700_001, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)
