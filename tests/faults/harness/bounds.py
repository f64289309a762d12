"""P8: judges how much memory processes came to hold. Pure; returns findings."""

from __future__ import annotations

from collections.abc import Iterable

from tests.faults.harness.history import Memory

MEGABYTE = 1024 * 1024
# The newest events, remembered aggregates and requests under way have bounds of their own, which come to less.
MOST_GROWTH = 200 * MEGABYTE


def grown(memory: Iterable[Memory]) -> list[str]:
    """P8: processes that held far more than when they were first seen, whatever was going on around them."""
    first: dict[str, int] = {}
    most: dict[str, int] = {}
    for each in memory:
        server, resident = each["server"], each["resident"]
        first.setdefault(server, resident)
        most[server] = max(resident, most.get(server, 0))
    return [
        f"{server} grew from {first[server] // MEGABYTE} to {held // MEGABYTE} MB"
        for server, held in most.items()
        if held - first[server] > MOST_GROWTH
    ]
