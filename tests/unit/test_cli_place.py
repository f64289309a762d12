"""Where `millrace up` starts the service: an option over the environment over the file over the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.cli.errors import CliError
from millrace.cli.place import Place, service_place
from millrace.cli.service import service_root


def place(folder: Path, given: dict[str, object] | None = None, **environment: str) -> Place:
    (folder / "c.yaml").write_text("host: 127.0.0.3\nport: 8124\ndata: ./elsewhere\n")
    return service_place(service_root(), given or {}, {"MILLRACE_CONFIG": str(folder / "c.yaml"), **environment})


def test_the_file_goes_before_the_defaults(tmp_path: Path) -> None:
    assert place(tmp_path) == Place(host="127.0.0.3", port=8124, data=Path("elsewhere"))


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    found = place(tmp_path, MILLRACE_PORT="8125", MILLRACE_DATA="/srv/millrace")
    assert found == Place(host="127.0.0.3", port=8125, data=Path("/srv/millrace"))


def test_an_option_goes_before_the_environment(tmp_path: Path) -> None:
    given: dict[str, object] = {"port": 0, "host": "127.0.0.2"}
    assert place(tmp_path, given, MILLRACE_PORT="8125", MILLRACE_HOST="127.0.0.4") == Place(
        host="127.0.0.2", port=0, data=Path("elsewhere")
    )


def test_without_any_there_are_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").touch()
    found = service_place(service_root(), {}, {"MILLRACE_CONFIG": str(tmp_path / "empty.yaml")})
    assert found == Place(host="127.0.0.1", port=8000, data=Path(".millrace"))


def test_a_worker_beside_the_service_logs_like_it(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("logging: {level: warning, format: console}\n")
    found = service_place(service_root(), {}, {"MILLRACE_CONFIG": str(tmp_path / "c.yaml")})
    assert found.logs() == {"MILLRACE_LOG_LEVEL": "warning", "MILLRACE_LOG_FORMAT": "console"}


def test_what_is_wrong_is_said_by_its_key(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("prot: 8124\n")
    with pytest.raises(CliError, match=r"^settings: prot: .*did you mean port"):
        service_place(service_root(), {}, {"MILLRACE_CONFIG": str(tmp_path / "c.yaml")})
