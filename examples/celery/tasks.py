"""An application as it was written for Celery: only the import and the broker's address are Millrace's."""

import os
from datetime import timedelta

from millrace.contrib.celery import Celery, crontab

app = Celery("tasks", broker=os.environ.get("MILLRACE_URL", "http://127.0.0.1:8000"))
app.conf.timezone = "Europe/Berlin"
app.conf.task_routes = {"tasks.thumbnail": {"queue": "media"}}
app.conf.beat_schedule = {
    "nightly": {"task": "tasks.report", "schedule": crontab(hour=3, minute=0), "args": ("daily",)},
    "hourly": {"task": "tasks.report", "schedule": timedelta(hours=1), "kwargs": {"kind": "hourly"}},
}


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3, default_retry_delay=0.2)
def fetch(self, url):
    try:
        if self.request.retries == 0:
            raise ConnectionError(f"{url} does not answer")
        return {"url": url, "retries": self.request.retries}
    except ConnectionError as error:
        raise self.retry(exc=error) from error


@app.task(autoretry_for=(ConnectionError,), retry_backoff=0.1, retry_jitter=False, max_retries=1)
def unreachable():
    raise ConnectionError("never there")


@app.task(rate_limit="600/m")
def thumbnail(path):
    return path.replace(".png", ".small.png")


@app.task(ignore_result=True)
def report(kind):
    print("report", kind)
    return "nobody reads it"
