"""The usage snippets that Millrace was asked for, for the modules that have arrived, with only the imports changed."""

from __future__ import annotations

import pytest

from millrace import Job, JobStatus, Notification, NotificationChannel, NotificationPreferences, NotificationType
from millrace.testing import MillraceTest


@pytest.fixture
def app() -> MillraceTest:
    return MillraceTest()


async def transcribe_file(file_id: str) -> dict[str, str]:
    return {"file_id": file_id, "text": "as spoken"}


async def test_a_handler_gets_the_payload_by_name(app: MillraceTest) -> None:
    queue = app.jobs

    @queue.handler("transcribe")
    async def transcribe_job(file_id: str) -> dict[str, str]:
        result = await transcribe_file(file_id)
        return result

    job = await queue.enqueue(name="transcribe", payload={"file_id": "123"}, priority=5)
    status = await queue.get_status(job.id)
    assert status == JobStatus.PENDING
    await app.run_jobs()
    assert await queue.get_status(job.id) == JobStatus.COMPLETED


async def test_a_worker_gets_the_job_and_the_queue_tells_its_numbers(app: MillraceTest) -> None:
    queue = app.jobs

    @queue.worker("transcription")
    async def process_transcription(job: Job) -> dict[str, str]:
        file_id = job.data["file_id"]
        result = await transcribe_file(file_id)
        return result

    async def start_transcription(file_id: str) -> str:
        job = await queue.enqueue("transcription", {"file_id": file_id}, priority=5)
        return job.id

    async def get_queue_stats() -> dict[str, int]:
        stats = await queue.get_stats()
        return {
            "pending": stats.pending,
            "processing": stats.processing,
            "completed": stats.completed,
            "failed": stats.failed,
            "workers": stats.workers,
        }

    job_id = await start_transcription("42")
    assert (await get_queue_stats())["pending"] == 1
    await app.run_jobs()
    done = await queue.get_job(job_id)
    assert done is not None
    assert done.result == {"file_id": "42", "text": "as spoken"}
    assert (await get_queue_stats())["completed"] == 1


async def test_jobs_are_scheduled_listed_cancelled_and_removed(app: MillraceTest) -> None:
    queue = app.jobs
    job = await queue.schedule("report", {"day": 1}, app.clock.now(), priority=1)
    later = await queue.enqueue("report", {"day": 2}, delay=60, max_attempts=3)
    assert {each.id for each in await queue.get_jobs()} == {job.id, later.id}
    await queue.cancel_job(later.id)
    assert await queue.get_status(later.id) == JobStatus.CANCELLED
    await queue.remove_job(later.id)
    assert await queue.get_job(later.id) is None


async def test_a_finished_transcript_is_told_in_the_inbox_and_by_mail(app: MillraceTest) -> None:
    notifications = app.notifications

    async def notify_transcript_complete(user_id: str, transcript_id: str) -> None:
        await notifications.send(
            Notification(
                type=NotificationType.SUCCESS,
                title="Transcription Complete",
                message=f"Your transcript {transcript_id} is ready",
                user_id=user_id,
                category="transcription",
                action_url=f"/transcripts/{transcript_id}",
                action_label="View Transcript",
                channels=[NotificationChannel.IN_APP, NotificationChannel.EMAIL],
            )
        )

    await notifications.set_contact("kim", "email", "kim@example.org")
    await notify_transcript_complete("kim", "42")
    [shown] = await notifications.get_user_notifications("kim", unread_only=True, limit=50)
    assert (shown.action_url, shown.read) == ("/transcripts/42", False)
    assert [(each["address"], each["title"]) for each in app.outbox] == [("kim@example.org", "Transcription Complete")]
    await notifications.mark_as_read(shown.id, "kim")
    assert await notifications.get_user_notifications("kim", unread_only=True) == []


async def test_notifications_are_sent_by_keywords_and_in_bulk(app: MillraceTest) -> None:
    notifications, user_id, file_id = app.notifications, "kim", "7"
    await notifications.send(
        type="success",
        title="Processing Complete",
        message="Your file has been processed",
        user_id=user_id,
        channels=[NotificationChannel.IN_APP, NotificationChannel.EMAIL],
        action_url=f"/files/{file_id}",
        action_label="View Result",
    )
    await notifications.send_bulk([Notification(type=NotificationType.INFO, title="n", message="", user_id=user_id)])
    await notifications.set_preferences(
        user_id, NotificationPreferences(channels=[NotificationChannel.IN_APP], categories={"marketing": False})
    )
    assert [each.title for each in await notifications.get_user_notifications(user_id)] == ["n", "Processing Complete"]


async def test_work_is_tracked_and_its_start_is_told(app: MillraceTest) -> None:
    progress_tracker, job_queue, notification_service, user_id = app.progress, app.jobs, app.notifications, "kim"

    async def process_with_tracking(file_id: str) -> str:
        # Create progress tracker
        await progress_tracker.create(id=file_id)

        # Enqueue job
        job = await job_queue.enqueue("process", {"file_id": file_id})

        # Notify user
        await notification_service.send(
            Notification(
                type=NotificationType.INFO,
                title="Processing Started",
                user_id=user_id,
                channels=[NotificationChannel.IN_APP],
            )
        )

        return job.id

    assert await process_with_tracking("42")
    assert await notification_service.unread_count(user_id) == 1
