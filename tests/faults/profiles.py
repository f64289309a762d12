"""The profiles: which phases run, on what, with how many faults of which kind."""

from __future__ import annotations

from collections.abc import Mapping

from tests.faults.harness import clock, volume
from tests.faults.harness.phase import Phase
from tests.faults.harness.schedule import network
from tests.faults.harness.stack import Plan
from tests.faults.harness.workload import Mix

# The smallest leases that renewals on a busy machine can keep up with.
SHORT = {"lease": 2.0, "unconfirmed": 1.0}


def smoke() -> list[Phase]:
    """Every kind of fault once, in at most three minutes on two cores."""
    once = {
        "worker.kill": 4, "worker.freeze": 3, "service.kill": 1, "service.freeze": 1, "broker.kill": 1,
        "broker.freeze": 1, "broker.close": 1, "broker.wipe": 1, "postgres.kill": 1, "postgres.immediate": 1,
        "postgres.backend": 1, "postgres.terminate": 1, "postgres.freeze": 1, **network("broker", 1),
        **network("postgres", 1),
    }  # fmt: skip
    plan = Plan(services=2, workers=1, **SHORT)  # type: ignore[arg-type]
    return [Phase("everything once", plan, once, Mix(deadly=0.001), (0.0, 0.2), jobs=300)]


PROFILES: Mapping[str, object] = {"smoke": smoke}
