"""Message ids: time-ordered UUIDs, which keep the service's index inserts local."""

from __future__ import annotations

import os
import time


def uuid7() -> str:
    """A UUID of version 7; those made in later milliseconds sort later."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
