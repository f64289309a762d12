"""A process that fights over keys and runs children in batches until it is killed; it says how often it went round."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys

from millrace.contracts.wire import Accepted, Context
from tests.support.systems import TENANT, executed, system

KEYS = 8


async def main(dsn: str, name: str) -> None:
    draw = random.Random(name)
    numbers = itertools.count()

    def context() -> Context:
        return Context(TENANT, f"{name}-{next(numbers)}")

    # What a killed process was granted is soon free again.
    async with system(dsn, unconfirmed=5.0) as running:
        for turn in itertools.count(1):
            wishes = [
                {"name": "n", "unique": {"key": f"k-{draw.randrange(KEYS)}", "on_conflict": wish}}
                for wish in ("reject", "existing", "replace")
            ]
            told = await asyncio.gather(*(executed(running, "job.enqueue", wish, context()) for wish in wishes))
            parents = [str(answer.result["job_id"]) for answer in told if isinstance(answer, Accepted)]
            if parents:
                policy = draw.choice(["cancel", "run"])
                made = await executed(running, "batch.create", {"name": name, "on_complete": "after"}, context())
                assert isinstance(made, Accepted)
                batch = {"batch_id": made.result["batch_id"]}
                child = {"name": "child", "after": parents, "on_parent_failure": policy, "batch": batch["batch_id"]}
                await executed(running, "job.enqueue", [child] * 2, context())
                await executed(running, "batch.seal", batch, context())
            claim = {"worker": name, "slots": 3}
            granted = await executed(running, "job.claim", claim, context())
            assert isinstance(granted, Accepted)
            for grant in granted.result["grants"]:
                outcome = {"outcome": "completed"} if draw.random() < 0.7 else {"outcome": "failed", "error": {}}
                report = {"job_id": grant["job_id"], "attempt": grant["attempt"], "retryable": False, **outcome}
                await executed(running, "job.report", report, context())
            print(turn, flush=True)


asyncio.run(main(*sys.argv[1:]))
