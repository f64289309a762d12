"""Jobs from Django, in one file: `python django_app.py runserver`, and `millrace worker tasks:app` beside it."""

import json
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.http import require_GET, require_POST
from tasks import app as millrace

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="only-an-example",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
blocking = millrace.sync()  # one for the process, shared by its threads


@require_POST
def transcribe(request):
    with transaction.atomic():
        sent = {}
        # A job that is enqueued inside a transaction could run before its rows are there.
        transaction.on_commit(lambda: sent.update(id=blocking.jobs.enqueue("transcribe", json.loads(request.body)).id))
    return JsonResponse(sent, status=202)


@require_GET
def transcription(request, job_id):
    job = blocking.jobs.get(job_id)
    if job is None:
        return JsonResponse({"error": "there is no such job"}, status=404)
    return JsonResponse({"status": job.status, "result": job.result})


urlpatterns = [path("transcriptions", transcribe), path("transcriptions/<job_id>", transcription)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
