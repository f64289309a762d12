import asyncio

from tasks import app


async def main():
    job = await app.jobs.enqueue("transcribe", {"file_id": "42"}, priority=5)  # durable when this returns
    print(await app.jobs.result(job.id, timeout=30))
    async for event in app.events("job.#", after="beginning"):  # every event, in order, from any position
        print(event.eventtype, event.subject)
        if event.subject == job.id and event.eventtype == "job.completed":
            break
    await app.close()


asyncio.run(main())
