"""`python -m demo.run`: starts the system, sends it one job for each source file, shows and checks what came of it."""

from __future__ import annotations

import argparse
import asyncio
import platform
import sys
import tempfile
import time
import warnings
from pathlib import Path

from rich.console import Console

from demo.checks import Check, batch_check, outcome_checks
from demo.index import index
from demo.progress import TooSlow, until_done
from demo.sources import PLANTED, SourceFile, plant_broken_file, standard_library
from demo.story import tell
from demo.summary import digest, summarize
from demo.system import System, SystemFailed, distributed, embedded, running, tail
from demo.tables import show
from demo.work import CHECKPOINT_DELAY, CLEANUP_DELAY, parse_jobs, plain_loop
from millrace import Millrace
from millrace.contracts.job import Job

DEADLINE = 100.0
PAGE = 1_000


def main() -> int:
    """Runs the demo; the exit code is 0 when all checks hold."""
    parser = argparse.ArgumentParser(prog="python -m demo.run", description=__doc__)
    parser.add_argument("--amqp", action="store_true", help="through RabbitMQ and PostgreSQL")
    options = parser.parse_args()
    warnings.simplefilter("ignore", SyntaxWarning)
    console = Console(highlight=False)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millrace-demo-") as folder:
        try:
            checks = asyncio.run(_demo(console, Path(folder), options.amqp))
        except (SystemFailed, TooSlow) as error:
            console.print(f"The demo failed: {error}", style="red", markup=False, soft_wrap=True)
            return 1
        except KeyboardInterrupt:
            return 130
    for check in checks:
        console.print(f"[green]ok[/]     {check.statement}" if check.holds else f"[red]FAILED[/] {check.statement}")
    passed = all(check.holds for check in checks)
    verdict = "[green]All checks hold[/]" if passed else "[red]The demo failed[/]"
    console.print(f"{verdict}; the whole demo took {time.monotonic() - begin:.1f} s.")
    return 0 if passed else 1


async def _demo(console: Console, folder: Path, amqp: bool) -> list[Check]:
    files = standard_library()
    console.print(f"Python {platform.python_version()}: {len(files):,} source files in its standard library.")
    expecting = asyncio.create_task(asyncio.to_thread(plain_loop, files))
    async with distributed(folder) if amqp else embedded(folder) as system:
        console.print(f"Running: {system.description}", soft_wrap=True)
        expected = await expecting
        if all(facts is not None for facts in expected.values()):
            console.print(f"Python parses every file here, so {PLANTED} is planted, which it cannot.")
            files = [*files, plant_broken_file(folder)]
            expected |= {PLANTED: None}
        async with Millrace(system.url) as app:
            batch, checkpoint, cleanup = await _enqueue(app, console, files)
            whole = await until_done(app, console, batch, len(files) + 2, DEADLINE)
            jobs = await all_jobs(app)
            show(console, summarize(jobs))
            checks = outcome_checks(jobs, expected, checkpoint, cleanup)
            checks.append(batch_check(whole, expected))
            checks += await tell(app, files)
            checks += await index(app, files, console, system.mail)
            jobs = await all_jobs(app)
            await _rebuild(console, system, folder)
            again = await all_jobs(app)
            return [
                *checks,
                Check("the table is the same after a rebuild from the log", summarize(again) == summarize(jobs)),
                Check(f"every field of every job is too (digest {digest(jobs)[:16]})", digest(again) == digest(jobs)),
            ]


async def _enqueue(app: Millrace, console: Console, files: list[SourceFile]) -> tuple[str, str, str]:
    """Ids of the batch of all files, of the job that waits and of the one that is cancelled."""
    begin = time.monotonic()
    async with app.jobs.batch("library", progress={}) as batch:
        await batch.enqueue_many(parse_jobs(files))
    console.print(f"{len(files):,} jobs enqueued in one call, {time.monotonic() - begin:.2f} s.")
    checkpoint = await app.jobs.enqueue("library.checkpoint", delay=CHECKPOINT_DELAY)
    cleanup = await app.jobs.enqueue("library.cleanup", delay=CLEANUP_DELAY)
    await app.jobs.cancel(cleanup.id)
    return batch.id, checkpoint.id, cleanup.id


async def all_jobs(app: Millrace) -> list[Job]:
    """Every job in the read model."""
    return [job async for job in app.jobs.iterate(limit=PAGE)]


async def _rebuild(console: Console, system: System, folder: Path) -> None:
    begin = time.monotonic()
    async with running("rebuild", ["rebuild", "jobs", *system.rebuild], system.environment, folder) as rebuild:
        if await rebuild.wait():
            raise SystemFailed(f"millrace rebuild failed:\n{tail(folder / 'rebuild.log')}")
    console.print(f"Read model rebuilt from the log in {time.monotonic() - begin:.1f} s.")


if __name__ == "__main__":
    sys.exit(main())
