"""Topic patterns with the event types that they match and do not match."""

from __future__ import annotations

MATCHES = [
    ("job.completed", "job.completed", True),
    ("job.completed", "job.completed.twice", False),
    ("job.completed", "jobXcompleted", False),
    ("job.*", "job.completed", True),
    ("job.*", "job", False),
    ("job.*", "job.attempt.failed", False),
    ("*.completed", "job.completed", True),
    ("*", "job.completed", False),
    ("#", "job", True),
    ("#", "job.attempt.failed", True),
    ("job.#", "job", True),
    ("job.#", "job.attempt.failed", True),
    ("job.#", "jobs.attempt", False),
    ("#.failed", "job.attempt.failed", True),
    ("#.failed", "failed", True),
    ("job.#.failed", "job.failed", True),
    ("job.#.failed", "job.a.b.failed", True),
    ("job.*.failed", "job.failed", False),
    ("#.#", "job", True),
    ("a+b.c[d]", "a+b.c[d]", True),
    ("a+b.c", "aab.c", False),
    ("a\\b.c$", "a\\b.c$", True),
    ("größe.#", "größe.7", True),
    ("a b.c", "a b.c", True),
    ("a-b.c~d", "a-b.c~d", True),
]
BROKEN = ["", ".", "job.", ".job", "job..completed", "job*", "*job.x", "job.#x", "**", "##"]
