"""The garbage collector of a process that keeps much and makes few circles."""

from __future__ import annotations

import gc


def calm_collector() -> None:
    """Has the garbage collector look less often: nearly everything here is freed by counting references, and the events
    and aggregates that are kept, tens of thousands, would be searched again and again (a fifth of the service's time).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
