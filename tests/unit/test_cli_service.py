from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from millrace.cli.errors import PortTaken, ServiceNotInstalled
from millrace.cli.service import find_service, service_command, service_environment
from millrace.cli.up import service_url, usable_port


def make_service(folder: Path) -> Path:
    (folder / "infra").mkdir(parents=True)
    (folder / "infra" / "main.py").touch()
    (folder / "domain").mkdir()
    return folder


def test_the_checkout_comes_before_an_installed_service(tmp_path: Path) -> None:
    checkout = make_service(tmp_path / "checkout")
    installed = make_service(tmp_path / "site-packages" / "millrace_server")
    assert find_service([checkout, installed]) == checkout


def test_an_installed_service_is_found_where_there_is_no_checkout(tmp_path: Path) -> None:
    installed = make_service(tmp_path / "millrace_server")
    assert find_service([tmp_path / "site-packages", installed]) == installed


def test_the_client_alone_says_how_to_get_the_service(tmp_path: Path) -> None:
    with pytest.raises(ServiceNotInstalled, match=r"pip install \. \./packaging/server"):
        find_service([tmp_path])


def test_the_services_folder_is_first_on_its_path_and_the_current_folder_is_not() -> None:
    environment = service_environment(Path("/service"), {"PYTHONPATH": "/mine", "HOME": "/home/me"})
    assert environment["PYTHONPATH"] == f"/service{os.pathsep}/mine"
    assert environment["HOME"] == "/home/me"
    assert service_command(["migrate"])[:2] == [sys.executable, "-P"]


def test_a_port_in_use_is_refused_and_zero_takes_a_free_one() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} .* is in use"):
            usable_port("127.0.0.1", port)
        assert usable_port("127.0.0.1", 0) not in (0, port)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("fe80::1", "http://[fe80::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_a_client_on_this_machine_reaches_whatever_the_service_listens_on(host: str, url: str) -> None:
    assert service_url(host, 80) == url
