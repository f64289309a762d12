"""Dead letters: what they have in common, and mending them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from millrace import Invalid, Job, JobStatus, NotFound, Refused
from millrace.testing.contracts.bench import Bench, claim, head, seen

NOBODY = "00000000-0000-4000-8000-000000000000"
TO_B = [{"op": "replace", "path": "/file", "value": "b.png"}]


async def versions(bench: Bench, jobs: Sequence[str]) -> list[int]:
    """How much has happened to each job; others' events are none of our business."""
    return [(await bench.app.history("job", job))[-1].version for job in jobs]


async def dead(bench: Bench, message: str = "no file 'a.png'", name: str = "n", **options: Any) -> Job:
    """A job whose one attempt has failed with that message."""
    job = await bench.app.jobs.enqueue(name, {"file": "a.png"}, max_attempts=1, **options)
    [grant] = await claim(bench.app, 1, options.get("queue", "default"))
    error = {"type": "ValueError", "message": message}
    outcome = {"job_id": job.id, "attempt": grant["attempt"], "outcome": "failed", "error": error}
    await bench.app.execute("job.report", outcome)
    return job


async def done(bench: Bench, job_id: str) -> list[tuple[str, str | None, str]]:
    """What somebody did about a job by its events: what, who and why."""
    kinds = ("job.revived", "job.retry_undone", "job.removed")
    events = await bench.app.history("job", job_id)
    return [(each.eventtype, each.actor, each.data["reason"]) for each in events if each.eventtype in kinds]


class DeadLettersContract:
    async def test_failures_are_grouped_without_what_differs_from_job_to_job(self, bench: Bench) -> None:
        await dead(bench)
        newest = await dead(bench, "no file 'other.png'")
        lonely = await dead(bench, "no rights")
        elsewhere = await dead(bench, name="m", queue="other")
        position = await head(bench.app)
        groups = await bench.app.dead_letters.groups(min_position=position)
        most = groups[0]
        assert (most.name, most.type, most.message, most.count) == ("n", "ValueError", "no file *", 2)
        assert {(g.name, g.count, g.job_id) for g in groups} == {
            ("n", 2, newest.id),
            ("n", 1, lonely.id),
            ("m", 1, elsewhere.id),
        }
        assert groups[0].first_at <= groups[0].last_at
        of_group = await bench.app.dead_letters.list(fingerprint=groups[0].fingerprint)
        assert of_group[0].id == newest.id
        assert {job.fingerprint for job in of_group} == {groups[0].fingerprint}
        assert [g.name for g in await bench.app.dead_letters.groups(queue="other")] == ["m"]
        assert await bench.app.dead_letters.groups(name="nothing") == []

    async def test_dead_letters_are_listed_by_filter_in_pages(self, bench: Bench) -> None:
        jobs = [await dead(bench) for _ in range(3)]
        middle = (await seen(bench.app, jobs[1].id)).failed_at
        position = await head(bench.app)
        first = await bench.app.dead_letters.page(limit=2, min_position=position)
        rest = await bench.app.dead_letters.page(limit=2, cursor=first.cursor)
        assert [job.id for job in first.jobs + rest.jobs] == [job.id for job in reversed(jobs)]
        assert rest.cursor is None
        assert middle is not None
        before = [job.id for job in await bench.app.dead_letters.list(failed_before=middle.isoformat())]
        since = [job.id for job in await bench.app.dead_letters.list(failed_after=middle.isoformat())]
        assert jobs[1].id in since
        assert sorted(before + since) == sorted(job.id for job in jobs)
        with pytest.raises(Invalid):
            await bench.app.dead_letters.list(fingerprint="no fingerprint")

    async def test_an_edited_dead_letter_runs_with_other_data_and_keeps_the_original(self, bench: Bench) -> None:
        @bench.app.job
        async def n(file: str) -> str:
            return file

        job = await dead(bench)
        await bench.app.dead_letters.edit(job.id, TO_B, "the file moved")
        detail = await bench.app.dead_letters.get(job.id)
        assert (detail.job.data, detail.original) == ({"file": "b.png"}, {"file": "a.png"})
        [done] = detail.interventions
        assert (done.event, done.reason, done.patch) == ("job.edited", "the file moved", tuple(TO_B))
        await bench.app.jobs.retry(job.id)
        [ended] = await bench.run(job)
        assert (ended.status, ended.result) == (JobStatus.COMPLETED, "b.png")
        first, *_ = await bench.app.history("job", job.id)
        assert first.data["data"] == {"file": "a.png"}

    async def test_a_dry_run_says_what_would_change_and_changes_nothing(self, bench: Bench) -> None:
        job, other = await dead(bench), await dead(bench, "no rights")
        preview = await bench.app.dead_letters.preview(job.id, TO_B)
        [change] = preview.changes
        assert (change.job_id, change.data, change.edited) == (job.id, {"file": "a.png"}, {"file": "b.png"})
        everything = await bench.app.dead_letters.preview(name="n", min_position=await head(bench.app))
        assert (everything.count, [c.job_id for c in everything.changes]) == (2, [other.id, job.id])
        unfit = await bench.app.dead_letters.preview(job.id, [{"op": "remove", "path": "/missing"}])
        assert unfit.changes[0].edited is None
        assert "operation 0" in (unfit.changes[0].problem or "")
        assert len(await bench.app.history("job", job.id)) == 4
        with pytest.raises(Invalid):
            await bench.app.dead_letters.preview(job.id, name="n")

    async def test_a_patch_that_does_not_fit_changes_nothing(self, bench: Bench) -> None:
        job = await dead(bench)
        with pytest.raises(Refused, match="operation 1"):
            await bench.app.dead_letters.edit(job.id, [*TO_B, {"op": "test", "path": "/file", "value": "a.png"}])
        with pytest.raises(Invalid):
            await bench.app.dead_letters.edit(job.id, [{"op": "shuffle", "path": "/file"}])
        assert (await seen(bench.app, job.id)).data == {"file": "a.png"}

    async def test_retries_and_edits_are_undone_the_newest_first(self, bench: Bench) -> None:
        job = await dead(bench)
        await bench.app.dead_letters.edit(job.id, TO_B)
        await bench.app.jobs.retry(job.id)
        assert await bench.app.dead_letters.undo(job.id, "too soon") == "retry"
        assert await claim(bench.app) == []
        back = (await bench.app.dead_letters.get(job.id)).job
        assert (back.status, back.dead_lettered, back.max_attempts) == (JobStatus.FAILED, True, 1)
        assert back.failed_at is not None
        assert await bench.app.dead_letters.undo(job.id) == "edit"
        assert (await seen(bench.app, job.id)).data == {"file": "a.png"}
        with pytest.raises(Refused, match="nothing to undo"):
            await bench.app.dead_letters.undo(job.id)
        done = (await bench.app.dead_letters.get(job.id)).interventions
        assert [each.event for each in done] == ["job.edited", "job.revived", "job.retry_undone", "job.edit_undone"]
        assert done[2].reason == "too soon"

    async def test_an_undone_retry_gives_its_unique_key_back(self, bench: Bench) -> None:
        job = await dead(bench, unique={"key": "k"})
        await bench.app.jobs.retry(job.id)
        await bench.app.dead_letters.undo(job.id)
        other = await bench.app.jobs.enqueue("n", unique={"key": "k"})
        assert other.id != job.id
        assert [grant["job_id"] for grant in await claim(bench.app)] == [other.id]

    async def test_a_retry_that_has_started_is_not_undone(self, bench: Bench) -> None:
        job = await dead(bench)
        await bench.app.jobs.retry(job.id)
        assert len(await claim(bench.app)) == 1
        with pytest.raises(Refused, match="nothing to undo"):
            await bench.app.dead_letters.undo(job.id)

    async def test_dead_letters_are_retried_by_filter(self, bench: Bench) -> None:
        wanted = {(await dead(bench)).id, (await dead(bench, "no file 'b'")).id}
        other = await dead(bench, "no rights")
        group = (await bench.app.dead_letters.groups(min_position=await head(bench.app)))[0]
        retried = await bench.app.dead_letters.retry("files are back", fingerprint=group.fingerprint)
        assert set(retried) == wanted
        left = await bench.app.dead_letters.list(min_position=await head(bench.app))
        assert [job.id for job in left] == [other.id]
        assert {grant["job_id"] for grant in await claim(bench.app, 5)} == wanted

    async def test_dead_letters_are_purged_by_filter_and_their_history_says_why(self, bench: Bench) -> None:
        job, kept = await dead(bench), await dead(bench, name="m")
        position = await head(bench.app)
        assert [each.id for each in await bench.app.dead_letters.list(min_position=position)] == [kept.id, job.id]
        assert await bench.app.dead_letters.purge("obsolete", name="n") == [job.id]
        left = await bench.app.dead_letters.list(min_position=await head(bench.app))
        assert [each.id for each in left] == [kept.id]
        assert await bench.app.jobs.get(job.id) is None
        *_, last = await bench.app.history("job", job.id)
        assert (last.eventtype, last.data["reason"]) == ("job.removed", "obsolete")
        with pytest.raises(Refused):
            await bench.app.dead_letters.edit(job.id, TO_B)

    async def test_one_command_mends_many_and_says_who_wanted_it_and_why(self, bench: Bench) -> None:
        jobs = [(await dead(bench)).id for _ in range(3)]
        since = (await seen(bench.app, jobs[1])).failed_at
        assert since is not None
        wish = {"name": "n", "failed_after": since.isoformat()}
        counted = (await bench.app.execute("deadletter.retry", {**wish, "dry_run": True})).result
        assert counted["matched"] == len(await bench.app.dead_letters.list(**wish, min_position=await head(bench.app)))
        first = (await bench.app.execute("deadletter.retry", {"name": "n", "reason": "disk", "limit": 2})).result
        assert (first["changed"], first["job_ids"]) == (2, jobs[:2])
        rest = {"name": "n", "reason": "disk", "limit": 2, "cursor": first["cursor"]}
        second = (await bench.app.execute("deadletter.retry", rest)).result
        assert (second["job_ids"], second["cursor"]) == (jobs[2:], None)
        for job_id in jobs:
            *_, revived = await bench.app.history("job", job_id)
            assert (revived.eventtype, revived.data["reason"]) == ("job.revived", "disk")
        assert (await bench.app.execute("deadletter.purge", {})).result["matched"] == 0
        with pytest.raises(Invalid):
            await bench.app.execute("deadletter.purge", {"cursor": "behind"})

    async def test_a_dry_run_of_a_purge_counts_and_purges_nothing(self, bench: Bench) -> None:
        jobs = [(await dead(bench)).id for _ in range(2)]
        await dead(bench, name="m")
        before = await versions(bench, jobs)
        counted = (await bench.app.execute("deadletter.purge", {"name": "n", "dry_run": True, "limit": 1})).result
        assert (counted["matched"], counted["job_ids"]) == (2, jobs[:1])
        assert await versions(bench, jobs) == before
        assert {job.id for job in await bench.app.dead_letters.list(name="n")} == set(jobs)
        assert await bench.app.dead_letters.purge(name="n") == jobs

    async def test_a_dry_run_names_the_jobs_that_the_same_call_would_change(self, bench: Bench) -> None:
        jobs = [(await dead(bench)).id for _ in range(3)]
        await dead(bench, name="m")
        before = await versions(bench, jobs)
        for page in (None, 2):
            assert await bench.app.dead_letters.retry("disk", dry_run=True, name="n", limit=page) == jobs
            assert await bench.app.dead_letters.purge("old", dry_run=True, name="n", limit=page) == jobs
        assert await bench.app.dead_letters.purge(dry_run=True, name="nothing") == []
        assert await versions(bench, jobs) == before
        assert await bench.app.dead_letters.retry("disk", name="n") == jobs
        assert await bench.app.dead_letters.retry(dry_run=True, name="n") == []

    async def test_events_say_who_retried_undid_and_purged_and_why(self, bench: Bench) -> None:
        one, many = (await dead(bench, name="one")).id, (await dead(bench, name="many")).id
        async with bench.other(bench.app.settings.tenant, actor="ada") as ada:
            await ada.jobs.retry(one, "disk is back")
            await ada.dead_letters.undo(one, "too soon")
            await ada.dead_letters.retry("all at once", name="many")
            await ada.dead_letters.undo(many, "not yet")
            assert await ada.dead_letters.purge("obsolete", name="one") == [one]
        assert await done(bench, one) == [
            ("job.revived", "ada", "disk is back"),
            ("job.retry_undone", "ada", "too soon"),
            ("job.removed", "ada", "obsolete"),
        ]
        assert await done(bench, many) == [
            ("job.revived", "ada", "all at once"),
            ("job.retry_undone", "ada", "not yet"),
        ]
        told = (await bench.app.dead_letters.get(many)).interventions
        assert [(each.actor, each.reason) for each in told] == [("ada", "all at once"), ("ada", "not yet")]

    async def test_what_is_no_dead_letter_is_not_shown_as_one(self, bench: Bench) -> None:
        waiting = await bench.app.jobs.enqueue("n", {"file": "a.png"})
        for act in (bench.app.dead_letters.get, bench.app.dead_letters.preview):
            with pytest.raises(Refused, match="not among the dead letters"):
                await act(waiting.id)
            with pytest.raises(NotFound):
                await act(NOBODY)
        with pytest.raises(Refused, match="not among the dead letters"):
            await bench.app.dead_letters.edit(waiting.id, TO_B)
