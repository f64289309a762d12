"""Which integration test uses which route and message of queues, circuits and batches."""

from __future__ import annotations

OPERATIONS = "tests/integration/operations/test_queues.py"
HTTP_QUEUES = f"{OPERATIONS}::test_queues_over_http"
HTTP_CIRCUITS = f"{OPERATIONS}::test_circuits_over_http"
HTTP_BATCHES = f"{OPERATIONS}::test_batches_over_http"
AMQP_QUEUES = f"{OPERATIONS}::test_queues_over_amqp"
AMQP_CIRCUITS = f"{OPERATIONS}::test_circuits_over_amqp"
AMQP_BATCHES = f"{OPERATIONS}::test_batches_over_amqp"

# The same operations exist under `/api/v1`, as `v1_<operation>`; the tests run on both.
ROUTES: dict[str, str] = {
    "change_job": HTTP_QUEUES,
    "list_circuits": HTTP_CIRCUITS,
    "get_circuit": HTTP_CIRCUITS,
    "configure_circuit": HTTP_CIRCUITS,
    "reset_circuit": HTTP_CIRCUITS,
    "list_queues": HTTP_QUEUES,
    "get_queue": HTTP_QUEUES,
    "configure_queue": HTTP_QUEUES,
    "pause_queue": HTTP_QUEUES,
    "resume_queue": HTTP_QUEUES,
    "drain_queue": HTTP_QUEUES,
    "create_batch": HTTP_BATCHES,
    "list_batches": HTTP_BATCHES,
    "get_batch": HTTP_BATCHES,
    "seal_batch": HTTP_BATCHES,
    "cancel_batch": HTTP_BATCHES,
}

MESSAGES: dict[str, str] = {
    "job.change": AMQP_QUEUES,
    "queue.configure": AMQP_QUEUES,
    "queue.pause": AMQP_QUEUES,
    "queue.resume": AMQP_QUEUES,
    "queue.drain": AMQP_QUEUES,
    "queue.get": AMQP_QUEUES,
    "queue.list": AMQP_QUEUES,
    "circuit.configure": AMQP_CIRCUITS,
    "circuit.reset": AMQP_CIRCUITS,
    "circuit.get": AMQP_CIRCUITS,
    "circuit.list": AMQP_CIRCUITS,
    "batch.create": AMQP_BATCHES,
    "batch.seal": AMQP_BATCHES,
    "batch.cancel": AMQP_BATCHES,
    "batch.get": AMQP_BATCHES,
    "batch.list": AMQP_BATCHES,
    "batch.created.event": AMQP_BATCHES,
    "batch.sealed.event": AMQP_BATCHES,
    "batch.cancelled.event": AMQP_BATCHES,
    "batch.completed.event": AMQP_BATCHES,
    "batch.succeeded.event": AMQP_BATCHES,
    "job.changed.event": AMQP_QUEUES,
    "queue.opened.event": AMQP_QUEUES,
    "queue.configured.event": AMQP_QUEUES,
    "queue.paused.event": AMQP_QUEUES,
    "queue.resumed.event": AMQP_QUEUES,
    "circuit.configured.event": AMQP_CIRCUITS,
    "circuit.opened.event": AMQP_CIRCUITS,
    "circuit.half_opened.event": AMQP_CIRCUITS,
    "circuit.closed.event": AMQP_CIRCUITS,
}
