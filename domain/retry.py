"""How long a job waits after an attempt that failed."""

from __future__ import annotations

import hashlib
from typing import Any


def given_up(policy: dict[str, Any], attempts: int, max_attempts: int) -> str | None:
    """Why there is no attempt after `attempts` failed ones, None where there is another."""
    if attempts >= max_attempts:
        return f"all {max_attempts} attempts failed" if max_attempts > 1 else "its one attempt failed"
    return "its policy is not to retry" if policy["kind"] == "none" else None


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
