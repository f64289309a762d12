"""The application of a durable subscription: each event that is delivered becomes a line in the file `FAULTS_SEEN`."""

from __future__ import annotations

import json
import os

from millrace import Millrace
from millrace.events import Event

app = Millrace(tenant=os.environ.get("FAULTS_TENANT", "default"))


@app.on("#", name="faults-durable", start="beginning")
async def note(event: Event) -> None:
    file = os.open(os.environ["FAULTS_SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, json.dumps(event.model_dump(mode="json")).encode() + b"\n")
    finally:
        os.close(file)
