"""What every carrier of samples does, within one process and over the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.amqp.samples import AmqpSamples
from adapters.samples import LocalSamples
from domain.live import Sample, Samples
from tests.integration.amqp.conftest import until

KINDS = ("local", "amqp")


class Ears:
    """A listener that remembers what it has heard."""

    def __init__(self) -> None:
        self.heard: list[Sample] = []

    def __call__(self, sample: Sample) -> None:
        self.heard.append(sample)


@pytest.fixture(params=KINDS)
async def samples(request: pytest.FixtureRequest) -> AsyncIterator[Samples]:
    if request.param == "local":
        yield LocalSamples()
        return
    carrier = AmqpSamples(request.getfixturevalue("rabbitmq_url"))
    carrier.start()
    await until(lambda: carrier.connected)
    yield carrier
    await carrier.stop()


def at(percent: int, subject: str = "upload-1") -> Sample:
    return Sample("acme", "progress.update", subject, {"progress": percent})


async def test_a_listener_hears_each_subjects_newest_sample(samples: Samples) -> None:
    ears = Ears()
    samples.listen(ears)
    for percent in range(1_000):
        samples.emit(at(percent % 100))
    samples.emit(at(7, "upload-2"))
    await until(lambda: at(99) in ears.heard and at(7, "upload-2") in ears.heard)
    assert len(ears.heard) < 1_000


async def test_who_does_not_listen_any_more_hears_nothing(samples: Samples) -> None:
    gone, staying = Ears(), Ears()
    unlisten = samples.listen(gone)
    samples.listen(staying)
    unlisten()
    unlisten()
    samples.emit(at(5))
    await until(lambda: bool(staying.heard))
    assert gone.heard == []


async def test_a_listener_that_fails_harms_no_other(samples: Samples) -> None:
    def failing(sample: Sample) -> None:
        raise ZeroDivisionError

    ears = Ears()
    samples.listen(failing)
    samples.listen(ears)
    samples.emit(at(5))
    await until(lambda: ears.heard == [at(5)])


async def test_where_too_many_subjects_wait_the_oldest_sample_goes() -> None:
    ears, samples = Ears(), LocalSamples(most=3)
    samples.listen(ears)
    for number in range(5):
        samples.emit(at(number, f"upload-{number}"))
    await until(lambda: bool(ears.heard))
    assert [sample.subject for sample in ears.heard] == ["upload-2", "upload-3", "upload-4"]


async def test_every_process_hears_the_others_once(rabbitmq_url: str) -> None:
    first, second = AmqpSamples(rabbitmq_url), AmqpSamples(rabbitmq_url)
    here, there = Ears(), Ears()
    first.listen(here)
    second.listen(there)
    first.start()
    second.start()
    try:
        await until(lambda: first.connected and second.connected)
        first.emit(at(1, "one"))
        await until(lambda: there.heard == [at(1, "one")] and here.heard == [at(1, "one")])
        second.emit(at(2, "two"))
        # What the broker sends in order has brought back the first one by now, had it come back at all.
        await until(lambda: at(2, "two") in here.heard and at(2, "two") in there.heard)
        assert here.heard == [at(1, "one"), at(2, "two")]
        assert there.heard == [at(1, "one"), at(2, "two")]
    finally:
        await asyncio.gather(first.stop(), second.stop())


async def test_without_a_broker_a_process_hears_itself() -> None:
    ears, samples = Ears(), AmqpSamples("amqp://127.0.0.1:1/")
    samples.listen(ears)
    samples.start()
    try:
        samples.emit(at(5))
        await until(lambda: ears.heard == [at(5)])
    finally:
        await samples.stop()
