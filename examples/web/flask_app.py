"""Jobs from Flask: `flask --app flask_app run`, and `millrace worker tasks:app` beside it."""

from flask import Flask, jsonify, request
from tasks import app as millrace

from millrace import Invalid, JobStatus

flask = Flask(__name__)
blocking = millrace.sync()  # one for the process, shared by its threads


@flask.post("/transcriptions")
def transcribe():
    try:
        job = blocking.jobs.enqueue("transcribe", request.get_json())
    except Invalid as refusal:
        return jsonify(refusal.errors), 422
    return {"id": job.id}, 202


@flask.get("/transcriptions/<job_id>")
def transcription(job_id):
    job = blocking.jobs.get(job_id)
    if job is None:
        return {"error": "there is no such job"}, 404
    return {"status": job.status, "result": job.result if job.status is JobStatus.COMPLETED else None}
