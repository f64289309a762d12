"""Sends the tasks of `tasks.py` and prints what became of them."""

from tasks import add, fetch, report, thumbnail, total, unreachable

from millrace.contrib.celery import AsyncResult, TaskRevokedError, chain, chord, group

result = add.delay(2, 3)
print("add", result.get(timeout=30), result.state)
print("fetch", fetch.apply_async(("example.org",), countdown=0.2, priority=9).get(timeout=30))
print("chain", chain(add.s(1, 2), add.s(10)).delay().get(timeout=30))
print("group", group(add.s(n, n) for n in range(5)).delay().get(timeout=30))
print("chord", chord(add.s(n, n) for n in range(5))(total.s()).get(timeout=30))
print("thumbnail", thumbnail.delay("logo.png").get(timeout=30))
print("report", report.delay("weekly").get(timeout=30))

failed = unreachable.delay()
try:
    failed.get(timeout=30)
except ConnectionError as error:
    print("unreachable", error, failed.state, "after", failed.retries, "retry")

later = add.apply_async((1, 1), countdown=3_600)
later.revoke()
try:
    AsyncResult(later.id).get(timeout=30)
except TaskRevokedError:
    print("revoked", later.state)
