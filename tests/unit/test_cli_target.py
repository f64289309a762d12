from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace import Millrace
from millrace.cli.errors import WRONG_USAGE, ApplicationBroken, TargetNotFound
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


@pytest.mark.parametrize(
    ("source", "error", "line"),
    [
        ("x = 1\n\nraise ValueError('no DSN')\n", "ValueError: no DSN", 3),
        ("raise RuntimeError('first\\nsecond')\n", "RuntimeError: first", 1),
        ("import os\nos.environ['NO_SUCH_VARIABLE']\n", "KeyError: 'NO_SUCH_VARIABLE'", 2),
        (
            "import json\ndef read():\n    return json.loads('{')\nread()\n",
            "JSONDecodeError: Expecting property name",
            3,
        ),
        ("x = 1\ndef broken(:\n", "SyntaxError: invalid syntax", 2),
        ("from json import nothing\n", "ImportError: cannot import name 'nothing' from 'json'", 1),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0", 2),
        ("class Odd(Exception): pass\nraise Odd\n", "Odd", 2),
    ],
)
def test_a_module_that_raises_is_one_line_that_names_it_the_error_and_the_place(
    folder: Path, source: str, error: str, line: int
) -> None:
    file = folder / "broken_tasks.py"
    file.write_text(source)
    with pytest.raises(ApplicationBroken) as raised:
        load_app("broken_tasks:app", folder)
    told = raised.value
    assert told.error.startswith(error)
    assert told.place == f"{file}, line {line}"
    assert (
        told.message == f"cannot load 'broken_tasks:app': importing 'broken_tasks' raised {told.error}, at {told.place}"
    )
    assert (told.exit_code, "\n" in told.message) == (WRONG_USAGE, False)
