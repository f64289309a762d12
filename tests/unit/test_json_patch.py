"""Changing a job's data by a JSON Patch."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from millrace.contracts.json_patch import Patch, PatchFailed, patched

DATA: dict[str, Any] = {"file": "a.png", "sizes": [1, 2], "user": {"id": 7, "a/b": None}}
PATCH: TypeAdapter[Patch] = TypeAdapter(Patch)


def after(*operations: dict[str, Any]) -> dict[str, Any]:
    return patched(DATA, PATCH.validate_python(operations))


def test_each_operation_does_what_the_standard_says() -> None:
    assert after({"op": "add", "path": "/sizes/1", "value": 9})["sizes"] == [1, 9, 2]
    assert after({"op": "add", "path": "/sizes/-", "value": 9})["sizes"] == [1, 2, 9]
    assert "file" not in after({"op": "remove", "path": "/file"})
    assert after({"op": "replace", "path": "/user/a~1b", "value": 1})["user"]["a/b"] == 1
    assert after({"op": "move", "from": "/file", "path": "/name"})["name"] == "a.png"
    assert after({"op": "copy", "from": "/user/id", "path": "/owner"})["owner"] == 7
    assert after({"op": "replace", "path": "", "value": {"n": 1}}) == {"n": 1}


def test_null_is_a_value() -> None:
    assert after({"op": "replace", "path": "/file", "value": None})["file"] is None


def test_the_data_given_stays_as_it_is() -> None:
    after({"op": "add", "path": "/user/name", "value": "x"}, {"op": "remove", "path": "/sizes/0"})
    assert DATA == {"file": "a.png", "sizes": [1, 2], "user": {"id": 7, "a/b": None}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/missing"},
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "add", "path": "/sizes/9", "value": 1},
        {"op": "add", "path": "/sizes/x", "value": 1},
        {"op": "add", "path": "/file/x", "value": 1},
        {"op": "move", "from": "/missing", "path": "/x"},
        {"op": "move", "from": "/user", "path": "/user/inner"},
        {"op": "test", "path": "/file", "value": "b.png"},
        {"op": "test", "path": "/missing", "value": None},
        {"op": "replace", "path": "/~9", "value": 1},
        {"op": "replace", "path": "", "value": [1]},
    ],
)
def test_an_operation_that_does_not_fit_is_named(operation: dict[str, Any]) -> None:
    with pytest.raises(PatchFailed, match="operation 1 of the patch") as failed:
        after({"op": "test", "path": "/file", "value": "a.png"}, operation)
    assert failed.value.operation == 1


@pytest.mark.parametrize("paths", [[f"/{n}" for n in range(40)], ["/a" * n for n in range(1, 100)]])
def test_copies_into_each_other_stay_bounded(paths: list[str]) -> None:
    growing = {"op": "add", "path": "/text", "value": "x" * 1_000}
    with pytest.raises(PatchFailed, match=r"larger than|depth exceeded"):
        after(growing, *({"op": "copy", "from": "", "path": path} for path in paths))


@pytest.mark.parametrize(
    "patch",
    [
        [],
        [{"op": "add", "path": "/a"}],
        [{"op": "move", "path": "/a"}],
        [{"op": "remove", "path": "/a", "value": 1}],
        [{"op": "remove", "path": "/a", "from": "/b"}],
        [{"op": "delete", "path": "/a"}],
        [{"op": "remove", "path": "a"}],
        [{"op": "remove", "path": "/a", "unknown": 1}],
        [{"op": "remove", "path": "/a"}] * 101,
        {"op": "remove", "path": "/a"},
    ],
)
def test_what_is_no_patch_is_refused_before_it_is_tried(patch: object) -> None:
    with pytest.raises(ValidationError):
        PATCH.validate_python(patch)
