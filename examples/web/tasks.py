from millrace import Millrace

app = Millrace()  # MILLRACE_URL, else http://localhost:8000


@app.job("transcribe", max_attempts=5, timeout=3600)
async def transcribe(job, file_id: str):
    job.log("transcribing", file_id=file_id)
    return {"file_id": file_id, "words": 1200}
