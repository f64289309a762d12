"""What the settings give jobs that do not say otherwise."""

from __future__ import annotations

from handlers.job import JobPolicy
from infra.settings_jobs import Jobs


def job_policy(jobs: Jobs) -> JobPolicy:
    """The defaults of the module, and those of single names."""
    return JobPolicy(
        jobs.defaults.max_attempts,
        jobs.defaults.timeout,
        jobs.defaults.backoff,
        {name: queue.priority for name, queue in jobs.queues.items()},
        {
            name: JobPolicy(
                own.max_attempts or jobs.defaults.max_attempts,
                own.timeout or jobs.defaults.timeout,
                own.backoff or jobs.defaults.backoff,
            )
            for name, own in jobs.names.items()
        },
    )
