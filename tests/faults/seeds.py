"""Where a run's seed comes from."""

from __future__ import annotations

import os
import random


def chosen() -> int:
    """The seed in `FAULTS_SEED`, or a new one."""
    return int(os.environ.get("FAULTS_SEED") or random.randrange(10**6))
