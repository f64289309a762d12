from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace import Millrace
from millrace.cli.errors import TargetNotFound
from millrace.cli.target import load_app


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_an_application_is_loaded_from_the_given_folder(folder: Path) -> None:
    (folder / "good_tasks.py").write_text("from millrace import Millrace\napp = Millrace('http://127.0.0.1:1')\n")
    assert isinstance(load_app("good_tasks:app", folder), Millrace)


@pytest.mark.parametrize(
    ("target", "source", "reason"),
    [
        ("tasks_a", "", "write it as module:attribute"),
        ("tasks_b:", "", "write it as module:attribute"),
        ("nowhere_tasks:app", "", "there is no module 'nowhere_tasks' in "),
        ("tasks_c:app", "other = 1\n", "has no attribute 'app'"),
        ("tasks_d:app", "app = 1\n", "'app' is a int, not a Millrace application"),
        ("tasks_e:app", "import missing_thing\n", "tasks_e imports 'missing_thing', which is not installed"),
    ],
)
def test_a_bad_target_is_one_line_that_names_what_is_missing(
    folder: Path, target: str, source: str, reason: str
) -> None:
    (folder / f"{target.partition(':')[0]}.py").write_text(source) if source else None
    with pytest.raises(TargetNotFound) as raised:
        load_app(target, folder)
    assert reason in raised.value.message
    assert "\n" not in raised.value.message
