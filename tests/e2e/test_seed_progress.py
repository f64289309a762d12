"""The usage snippets of progress that Millrace was asked for, with only the imports changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from millrace import (
    Millrace,
    PostgreSQLProgressStorage,
    Progress,
    ProgressPlugin,
    ProgressStatus,
    ProgressStorage,
    ProgressTracker,
)
from millrace.testing import MillraceTest, MockProgressStorage, TestDatabase
from tests.support.running import Running, running


@pytest.fixture
async def service(fresh_database_url: str) -> AsyncIterator[Running]:
    async with running(fresh_database_url) as service:
        yield service


class Config:
    database_url = "postgresql://user:pass@localhost/db"


class Shown:
    def __init__(self) -> None:
        self.shown: list[tuple[str, dict[str, Any]]] = []

    def emit(self, event: str, data: dict[str, Any]) -> None:
        self.shown.append((event, data))


async def do_upload_work() -> None: ...


async def do_transcribe() -> None: ...


async def test_a_tracker_with_a_storage_and_an_emitter(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_URL", service.url)
    config, ws_emitter = Config(), Shown()

    storage = ProgressStorage(database_url=config.database_url)
    tracker = ProgressTracker(storage=storage, emitter=ws_emitter)

    async def process_file(file_id: str) -> None:
        progress = await tracker.create(id=file_id, stages=["upload", "transcribe", "process"])
        assert progress.status == ProgressStatus.PENDING
        try:
            for i in range(0, 101, 10):
                await do_upload_work()
                await tracker.update(file_id, i, "upload")
            await tracker.advance_stage(file_id)

            for i in range(0, 101, 5):
                await do_transcribe()
                await tracker.update(file_id, i, "transcribe")

            await tracker.complete(file_id)
        except Exception as e:
            await tracker.fail(file_id, str(e))
            raise

    await process_file("42")
    loaded = await tracker.get("42")
    assert loaded is not None
    assert (loaded.status, loaded.progress) == (ProgressStatus.COMPLETED, 100)
    await tracker._app.close()


async def test_an_operation_tells_its_progress_and_its_failure() -> None:
    app = MillraceTest()
    tracker = app.progress

    async def upload_file(file_id: str) -> None: ...

    async def do_transcription_work() -> None:
        raise OSError("the microphone is off")

    async def process_file(file_id: str) -> None:
        progress = await tracker.create(id=file_id, stages=["upload", "transcribe", "process"])
        try:
            await tracker.update(progress.id, 0, "upload")
            await upload_file(file_id)
            await tracker.update(progress.id, 100, "upload")

            await tracker.update(progress.id, 0, "transcribe")
            for i in range(100):
                await do_transcription_work()
                await tracker.update(progress.id, i, "transcribe")

            await tracker.complete(progress.id)
        except Exception as e:
            await tracker.fail(progress.id, e)

    await process_file("42")
    failed = await tracker.get("42")
    assert failed is not None
    assert (failed.status, failed.stage, failed.error) == (ProgressStatus.FAILED, "transcribe", "the microphone is off")


@pytest.fixture
def mock_progress_storage() -> MockProgressStorage:
    return MockProgressStorage()


@pytest.fixture
def progress_tracker(mock_progress_storage: MockProgressStorage) -> ProgressTracker:
    return ProgressTracker(storage=mock_progress_storage)


async def test_progress_creation(progress_tracker: ProgressTracker) -> None:
    progress = await progress_tracker.create(id="test-1", stages=["stage1", "stage2"])

    assert progress.id == "test-1"
    assert progress.status == ProgressStatus.PENDING
    assert progress.stages is not None
    assert len(progress.stages) == 2


@pytest.fixture
async def test_database() -> AsyncIterator[TestDatabase]:
    async with TestDatabase() as db:
        yield db


async def test_progress_persistence(test_database: TestDatabase) -> None:
    storage = PostgreSQLProgressStorage(test_database.url)
    tracker = ProgressTracker(storage=storage)

    progress = await tracker.create(id="test-1")
    await tracker.update("test-1", 50)
    assert progress.progress == 0

    loaded = await tracker.get("test-1")
    assert loaded is not None
    assert loaded.progress == 50
    await tracker._app.close()


async def test_a_plug_in_under_the_hooks_other_names() -> None:
    app: Millrace = MillraceTest()
    tracker = app.progress
    sent: list[float] = []
    cleaned = asyncio.Event()

    async def send_to_external_system(progress: Progress) -> None:
        sent.append(progress.progress)

    async def cleanup_resources(progress: Progress) -> None:
        cleaned.set()

    class CustomProgressPlugin(ProgressPlugin):
        async def on_progress_update(self, progress: Progress) -> None:
            await send_to_external_system(progress)

        async def on_progress_complete(self, progress: Progress) -> None:
            await cleanup_resources(progress)

    tracker.register_plugin(CustomProgressPlugin())

    await tracker.create(id="p")
    await tracker.update("p", 30)
    await tracker.complete("p")
    assert isinstance(app, MillraceTest)
    await app.run_jobs()
    assert (sent, cleaned.is_set()) == ([30], True)
