"""Which commands there are."""

from __future__ import annotations

from collections.abc import Callable

import typer

from millrace.cli.circuits import circuits
from millrace.cli.deadletters import deadletters
from millrace.cli.history import history
from millrace.cli.job_logs import logs
from millrace.cli.jobs import enqueue, jobs
from millrace.cli.maintenance import archive, doctor, migrate, release, serve, topology
from millrace.cli.many import cancel, retry
from millrace.cli.notifications import notifications
from millrace.cli.progress import progress
from millrace.cli.queues import queues
from millrace.cli.rebuild import rebuild
from millrace.cli.resend import resend
from millrace.cli.schedules import schedules
from millrace.cli.up import up
from millrace.cli.watch import watch
from millrace.cli.why import why, why_waiting
from millrace.cli.worker import worker

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    """Adds every command to `app`."""
    own: list[Callable[..., None]] = [
        up,
        worker,
        enqueue,
        jobs,
        logs,
        watch,
        history,
        why,
        why_waiting,
        cancel,
        retry,
        resend,
        rebuild,
    ]
    for command in own:
        app.command()(command)
    for command in (serve, migrate, release, archive, doctor):
        app.command(context_settings=PASS_THROUGH, add_help_option=False)(command)
    app.add_typer(topology(PASS_THROUGH), name="topology")
    app.add_typer(deadletters(), name="deadletters")
    app.add_typer(queues(), name="queues")
    app.add_typer(circuits(), name="circuits")
    app.add_typer(schedules(), name="schedules")
    app.add_typer(notifications(), name="notifications")
    app.add_typer(progress(), name="progress")
