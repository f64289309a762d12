"""The comparison of the live feed with a bare broadcast comes to an end, whatever its clients see."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress

import psutil
import pytest

from benchmarks.arena import StepFailed
from benchmarks.catalogue import unit
from benchmarks.workloads.live import bare_broadcast, figures_of, measured
from tests.support.browser import needed

CLIENTS = 20
MESSAGE = '{"event":"bench.tick","data":{"data":{"at":0}},"position":"e-1"}'


def test_the_bare_broadcast_reaches_every_client_and_ends() -> None:
    with bare_broadcast() as (port, pid):
        found = measured("bare", port, pid, CLIENTS, 0.5, MESSAGE)
    assert not psutil.pid_exists(pid)
    # The same message, but for its time.
    assert json.loads(found.message) | {"data": {"data": {"at": 0}}} == json.loads(MESSAGE)
    assert found.figures["rate"] > 0
    assert found.figures["p99"] >= found.figures["p50"] > 0
    figures = figures_of(found.figures, found.figures | {"cpu": 1.0})
    assert figures["live_cpu_ratio"] == found.figures["cpu"]


def test_a_page_of_a_browser_is_among_the_clients() -> None:
    needed()
    with bare_broadcast() as (port, pid):
        found = measured("bare", port, pid, CLIENTS, 0.5, MESSAGE).figures | {"cpu": 1.0}
    figures = figures_of(found, found)
    assert figures["live_browser_p99"] >= figures["live_browser_p50"] == found["browser_p50"]
    assert unit("live_browser_p99_bare") == "ms"
    without = {name: value for name, value in found.items() if not name.startswith("browser")}
    assert not any("browser" in name for name in figures_of(without, found))


def test_clients_that_are_cut_off_end_it_with_their_last_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = threading.Thread(target=answer_posts_and_refuse_sockets, args=(listening,), daemon=True)
        answering.start()
        with pytest.raises(StepFailed) as failed:
            measured("bare", listening.getsockname()[1], psutil.Process().pid, CLIENTS, 0.5, MESSAGE)
    assert "cut off" in str(failed.value)
    assert "503 Too Many" in str(failed.value)


def answer_posts_and_refuse_sockets(listening: socket.socket) -> None:
    """A server that takes messages and lets no WebSocket in, until it is closed."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    with connection, suppress(ConnectionError):
        while request := connection.recv(65_536):
            if request.startswith(b"GET"):
                connection.sendall(b"HTTP/1.1 503 Too Many\r\ncontent-length: 0\r\n\r\n")
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
