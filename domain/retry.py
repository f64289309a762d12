"""How long a job waits after an attempt that failed."""

from __future__ import annotations

import hashlib
from typing import Any


def retry_delay(policy: dict[str, Any], failures: int, seed: str) -> float:
    """Seconds to wait after the `failures`-th failure.

    The jitter is a function of (job, failure), so that a decision made twice comes out the same while retries of many
    jobs still spread.
    """
    delay: float = policy["delay"]
    if policy["kind"] == "exponential":
        delay *= policy["factor"] ** min(failures - 1, 64)
    delay = min(delay, policy["max_delay"])
    draw = int.from_bytes(hashlib.sha256(f"{seed}/{failures}".encode()).digest()[:8]) / 2**64
    return float(delay * (1 - policy["jitter"] * draw))
