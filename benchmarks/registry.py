"""Which systems there are, and what each needs to be installed and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OURS = "millrace"


@dataclass(frozen=True, slots=True)
class Entry:
    """One system in the race.

    Attributes:
        module: file in `benchmarks/peers`.
        packages: what its environment consists of; none for Millrace, which runs in the checkout's own.
        python: oldest version of Python that it runs on.
        service: whether something must run besides its workers.
        redis: whether it keeps jobs or results in Redis.
        jobs: most jobs in one run; a slow system gets fewer, rates stay comparable.
    """

    name: str
    module: str
    packages: tuple[str, ...] = ()
    environment: str = ""
    python: tuple[int, int] = (3, 11)
    service: bool = False
    redis: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    jobs: int = 1_000_000


_PSYCOPG = "psycopg[binary]"
_CELERY = ("celery", "sqlalchemy", _PSYCOPG)
PEERS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(OURS, "millrace", service=True),
        Entry("millrace-http", "millrace", service=True, variables={"BENCH_TRANSPORT": "http"}),
        Entry("pgqueuer", "pgqueuer", ("pgqueuer", "asyncpg", _PSYCOPG, "uvloop"), "pgqueuer"),
        Entry("oban", "oban", ("oban", _PSYCOPG, "uvloop"), "oban", python=(3, 12)),
        Entry("faststream", "faststream", ("faststream[rabbit]", "uvloop"), "faststream"),
        Entry(
            "procrastinate",
            "procrastinate",
            ("procrastinate", "psycopg[binary,pool]", "uvloop"),
            "procrastinate",
            jobs=5_000,
        ),
        Entry("celery-durable", "celery_durable", _CELERY, "celery", jobs=2_500),
        Entry("celery", "celery_default", _CELERY, "celery", jobs=20_000),
        Entry("dbos", "dbos", ("dbos", _PSYCOPG, "uvloop"), "dbos", jobs=5_000),
        Entry("dramatiq", "dramatiq", ("dramatiq[rabbitmq,redis]",), "dramatiq", redis=True, jobs=20_000),
        Entry(
            "taskiq",
            "taskiq",
            ("taskiq", "taskiq-aio-pika", "taskiq-redis", "uvloop"),
            "taskiq",
            redis=True,
            jobs=20_000,
        ),
        Entry("arq", "arq", ("arq", "uvloop"), "arq", redis=True, jobs=20_000),
    )
}
QUICK = (OURS, "pgqueuer", "oban", "faststream")
