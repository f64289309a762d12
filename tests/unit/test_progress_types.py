"""What a configuration lays down for types of work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from domain.progress import Progress
from handlers.progress_types import MetadataRefused, StageRefused
from infra.settings_modules import Progress as Section
from infra.tracking import UnusableValidator, progress_types
from tests.controls.clock import NOW

OPTIONS: dict[str, Any] = {
    "parent_id": None, "weight": 1.0, "metadata": {"rows": 5}, "user_id": None, "children": None, "stall_after": None,
    "stages": [{"name": name, "weight": 1.0} for name in ("read", "check", "write")],
}  # fmt: skip
HERE = "tests.unit.test_progress_types"


def no_write_of_much(before: str | None, stage: str, metadata: Mapping[str, Any]) -> bool:
    if stage == "check" and metadata["rows"] > 3:
        raise ValueError("too many rows to check")
    return stage != "write"


def types(**of_import: Any) -> Any:
    return progress_types(Section.model_validate({"stall_after": 90, "types": {"import": of_import}}))


def at(stage: str | None, type: str | None = "import") -> Progress:
    progress = Progress.create("progress:acme:p", NOW, type=type, **OPTIONS)
    if stage is not None:
        progress.update(progress.reach(0.0, stage), None, NOW)
    return progress


def test_metadata_has_to_fit_the_schema_of_its_type() -> None:
    schema = {"type": "object", "required": ["rows"], "properties": {"rows": {"type": "integer"}}}
    ruled = types(metadata_schema=schema)
    ruled.check_metadata("import", {"rows": 3})
    ruled.check_metadata("export", {"rows": "many"})
    ruled.check_metadata(None, {})
    for wrong in ({}, {"rows": "many"}):
        with pytest.raises(MetadataRefused):
            ruled.check_metadata("import", wrong)


def test_a_stage_is_followed_by_those_that_are_named() -> None:
    ruled = types(transitions={"read": ["check"], "check": ["write"]})
    ruled.check_stage(at("read"), "check")
    ruled.check_stage(at("read"), "read")
    ruled.check_stage(at(None), "write")
    ruled.check_stage(at("read", type=None), "write")
    with pytest.raises(StageRefused, match="only check may follow"):
        ruled.check_stage(at("read"), "write")


def test_a_validator_is_asked_for_each_change_of_stage() -> None:
    ruled = types(validator=f"{HERE}:no_write_of_much")
    ruled.check_stage(at(None), "read")
    with pytest.raises(StageRefused, match="too many rows"):
        ruled.check_stage(at("read"), "check")
    with pytest.raises(StageRefused, match="does not allow"):
        ruled.check_stage(at("read"), "write")


def test_silence_is_the_types_own_or_everybodys() -> None:
    ruled = types(stall_after=5)
    assert (ruled.silence_of("import"), ruled.silence_of("export"), ruled.silence_of(None)) == (5, 90, 90)


@pytest.mark.parametrize(
    ("section", "part"),
    [
        ({"metadata_schema": {"type": "nonsense"}}, "metadata_schema"),
        ({"validator": "no.such.module:function"}, "no.such.module:function"),
        ({"validator": f"{HERE}:HERE"}, "is no function"),
    ],
)
def test_what_cannot_be_used_is_named(section: dict[str, Any], part: str) -> None:
    with pytest.raises(UnusableValidator, match=part):
        types(**section)
