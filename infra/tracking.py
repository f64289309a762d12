"""Builds the types of progress from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import jsonschema

from handlers.progress_types import ProgressType, ProgressTypes, Validator
from infra.settings_errors import SettingsError, SettingsProblem
from infra.settings_modules import Progress, TypeOfWork


class UnusableValidator(SettingsError):
    """Raised when a validator of stages cannot be found or called, or a schema of metadata is none."""

    def __init__(self, type: str, what: str, reason: str) -> None:
        super().__init__(SettingsProblem(f"modules.progress.types.{type}.{what}", reason))
        self.type, self.what, self.reason = type, what, reason


def progress_types(section: Progress) -> ProgressTypes:
    """The types that the settings name.

    Raises:
        UnusableValidator: something that a type names cannot be used.
    """
    return ProgressTypes({name: _type(name, each) for name, each in section.types.items()}, section.stall_after)


def _type(name: str, section: TypeOfWork) -> ProgressType:
    transitions = section.transitions
    return ProgressType(
        None if section.metadata_schema is None else _objection(name, section.metadata_schema),
        None if transitions is None else {stage: frozenset(after) for stage, after in transitions.items()},
        None if section.validator is None else _loaded(name, section.validator),
        section.stall_after,
    )


def _objection(name: str, schema: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], str | None]:
    kind = jsonschema.Draft202012Validator
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise UnusableValidator(name, "metadata_schema", error.message) from error
    validator = kind(schema)

    def objection(metadata: Mapping[str, Any]) -> str | None:
        error = next(validator.iter_errors(dict(metadata)), None)
        return None if error is None else f"{error.json_path}: {error.message[:500]}"

    return objection


def _loaded(name: str, path: str) -> Validator:
    module, _, attribute = path.partition(":")
    try:
        found: Validator = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        reason = f"{path!r} cannot be loaded, write it as package.module:function ({error})"
        raise UnusableValidator(name, "validator", reason) from error
    if not callable(found):
        raise UnusableValidator(name, "validator", f"{path!r} is no function")
    return found
