"""The options of `@app.task`."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from millrace.contrib.celery.errors import NotSupported

FOREVER = 1_000
RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/([smh]))?")
PERIODS = {"s": 1, "m": 60, "h": 3_600}
# True is what is always so here; anything else is not.
ALWAYS = ("acks_late", "reject_on_worker_lost", "track_started", "acks_on_failure_or_timeout")
INSTEAD = {
    "base": "a task is no class; use middleware and hooks, @app.jobs.around, @app.jobs.on_fail …",
    "serializer": "arguments are JSON; see *Serializers* in docs/client.md",
    "compression": "arguments are JSON",
    "typing": "arguments are always checked",
    "pydantic": "arguments are always converted to what they are annotated with",
    "store_errors_even_if_ignored": "errors are always kept",
    "throws": "raise millrace.NonRetryable for an expected end",
    "send_events": "events are always recorded; follow them with app.events()",
    "backend": "results are kept by the service",
    "trail": "`millrace why` shows what came of what",
    "after_return": "use middleware, @app.jobs.around",
    "on_failure": "use the hook @app.jobs.on_fail",
    "on_success": "use the hook @app.jobs.on_complete",
    "on_retry": "use middleware, @app.jobs.on_error",
}


@dataclass(frozen=True)
class TaskOptions:
    """How a task runs.

    Attributes:
        bind: the function's first parameter is the task itself, `self`.
        max_retries: attempts after the first; None for as many as there can be, 999.
        default_retry_delay: seconds that `self.retry` and `autoretry_for` wait.
        autoretry_for: errors after which the task is tried again by itself.
        retry_backoff: seconds of the first wait, doubled each time; True for 1.
        retry_backoff_max: longest wait, in seconds.
        retry_jitter: draw each wait between 0 and its length.
        retry_kwargs: `max_retries` and `countdown` in place of the above, for `autoretry_for`.
        rate_limit: starts per second, or "10/s", "10/m", "10/h": of all workers together.
        time_limit: seconds that an attempt may take.
        soft_time_limit: seconds after which an `async def` task gets a `SoftTimeLimitExceeded`.
        ignore_result: do not keep what it returns.
        expires: seconds or the time after which it is not started any more.
        pool: `process` runs a plain function in a process, which its time limit kills.
    """

    name: str | None = None
    bind: bool = False
    max_retries: int | None = 3
    default_retry_delay: float = 180.0
    autoretry_for: tuple[type[Exception], ...] = ()
    dont_autoretry_for: tuple[type[Exception], ...] = ()
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600.0
    retry_jitter: bool = True
    retry_kwargs: dict[str, Any] | None = None
    queue: str | None = None
    priority: int | None = None
    rate_limit: str | float | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    ignore_result: bool | None = None
    expires: float | datetime | None = None
    pool: Literal["thread", "process"] = "thread"

    @property
    def retries(self) -> int:
        """How many times it is tried again, at most."""
        wanted = (self.retry_kwargs or {}).get("max_retries", self.max_retries)
        return FOREVER - 1 if wanted is None else int(wanted)

    @property
    def rate(self) -> dict[str, Any] | None:
        """The rate limit as a queue takes it.

        Raises:
            ValueError: it is none.
        """
        if self.rate_limit is None:
            return None
        found = RATE.fullmatch(str(self.rate_limit))
        if found is None or not float(found[1]):
            raise ValueError(f'a rate_limit is a number of starts per second, or like "10/m", not {self.rate_limit!r}')
        count, period = float(found[1]), float(PERIODS[found[2] or "s"])
        limit = max(1, int(count))
        return {"limit": limit, "period": period * limit / count, "burst": 1}


def task_options(given: dict[str, Any]) -> TaskOptions:
    """The options that a decorator was given.

    Raises:
        NotSupported: Celery has one of that name, and Millrace something else.
        TypeError: neither has it.
    """
    own: dict[str, Any] = {}
    for name, value in given.items():
        if name in ALWAYS:
            if value is not True:
                raise NotSupported(
                    f"task({name}={value!r})", "a job is always tracked, and done when its end is recorded"
                )
        elif name in INSTEAD:
            raise NotSupported(f"task({name}=…)", INSTEAD[name])
        else:
            own[name] = value
    known = {field.name for field in fields(TaskOptions)}
    if unknown := own.keys() - known:
        raise TypeError(f"a task has no option {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    for name in ("autoretry_for", "dont_autoretry_for"):
        if name in own:
            own[name] = tuple(own[name])
    return TaskOptions(**own)
