"""No tenant sees or finds what belongs to another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from millrace import Invalid, Millrace
from millrace.contracts.job_reading import ListJobs
from millrace.testing.contracts.bench import Bench, claim, head

STATES = {"pending", "processing", "completed", "failed", "delayed", "cancelled"}


async def one_of_each(app: Millrace) -> dict[str, str]:
    """A job in each state, by the name of the state; ids differ from tenant to tenant, and nothing else does."""
    made: dict[str, str] = {}
    for state in ("processing", "completed", "failed", "delayed", "cancelled", "pending"):
        delay = 600 if state == "delayed" else None
        job = await app.jobs.enqueue("n", queue="q", key="k", max_attempts=1, delay=delay)
        made[state] = job.id
        report = {"job_id": job.id, "attempt": 1, "outcome": state}
        match state:
            case "processing" | "completed" | "failed":
                assert [grant["job_id"] for grant in await claim(app, 1, "q")] == [job.id]
                if state == "failed":
                    report["error"] = {"type": "OSError", "message": "disk full"}
                if state != "processing":
                    await app.execute("job.report", report)
            case "cancelled":
                await app.jobs.cancel(job.id)
            case _:
                continue
    return made


class TenantsContract:
    async def test_nobody_sees_another_tenants_jobs_whatever_they_look_for(self, bench: Bench) -> None:
        began = bench.now() - timedelta(minutes=5)
        later = bench.now() + timedelta(hours=1)
        everything: list[tuple[dict[str, Any], set[str]]] = [
            *(({"status": state}, {state}) for state in STATES),
            ({}, STATES),
            ({"queue": "q"}, STATES),
            ({"name": "n"}, STATES),
            ({"key": "k"}, STATES),
            ({"name": "n", "queue": "q", "status": "pending"}, {"pending"}),
            ({"dead_lettered": True}, {"failed"}),
            ({"dead_lettered": False}, STATES - {"failed"}),
            ({"error": "disk"}, {"failed"}),
            ({"waiting": "delayed"}, {"delayed"}),
            ({"created_after": began}, STATES),
            ({"created_before": later}, STATES),
            ({"finished_after": began}, {"completed", "failed"}),
            ({"finished_before": later}, {"completed", "failed"}),
        ]
        assert {name for filters, _ in everything for name in filters} == ListJobs.model_fields.keys() - {
            "limit",
            "cursor",
        }
        async with bench.other(f"t{uuid4().hex[:12]}") as other:
            for app in (bench.app, other):
                assert await app.jobs.list() == []
            tenants = [(app, await one_of_each(app)) for app in (bench.app, other)]
            position = await head(other)
            for app, made in tenants:
                for filters, states in everything:
                    found = {job.id for job in await app.jobs.list(**filters, min_position=position)}
                    assert found == {made[state] for state in states}, filters
                stats = await app.jobs.stats()
                assert stats.model_dump(include=STATES) == dict.fromkeys(STATES, 1)
                assert [job.id for job in await app.jobs.dead_letters()] == [made["failed"]]
            # The place in one tenant's list, given by another.
            page = await bench.app.jobs.page(limit=2)
            theirs = await other.jobs.page(cursor=page.cursor)
            assert {job.id for job in theirs.jobs} <= set(tenants[1][1].values())
            for job_id in tenants[0][1].values():
                assert await other.jobs.get(job_id) is None

    @pytest.mark.parametrize("tenant", ["default", "*"])
    async def test_a_list_does_not_take_a_tenant(self, bench: Bench, tenant: str) -> None:
        with pytest.raises(Invalid, match="tenant"):
            await bench.app.query("job.list", {"tenant": tenant})
