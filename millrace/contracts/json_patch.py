"""Changes to a job's data as JSON Patch (RFC 6902): checked when they arrive, applied to a copy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import jsonpatch
import jsonpointer
from pydantic import ConfigDict, Field, model_validator
from pydantic_core import to_json

from millrace.contracts.wire import MAX_BODY_BYTES, Message

MAX_OPERATIONS = 100
Pointer = Annotated[str, Field(max_length=4_096, pattern=r"^(/[^/]*)*$")]
# The last two where copies into each other have nested the data deeper than JSON can be written.
NOT_POSSIBLE = (
    jsonpatch.JsonPatchException,
    jsonpointer.JsonPointerException,
    TypeError,
    IndexError,
    KeyError,
    ValueError,
    RecursionError,
)
NEEDS_VALUE = frozenset({"add", "replace", "test"})
NEEDS_FROM = frozenset({"move", "copy"})


class PatchFailed(ValueError):
    """Raised when a patch does not fit the data; `operation` is the index of the first that does not.

    Attributes:
        operation: counted from 0.
    """

    def __init__(self, operation: int, reason: str) -> None:
        super().__init__(f"operation {operation} of the patch cannot be carried out: {reason}")
        self.operation = operation


class PatchOperation(Message):
    """One operation of a JSON Patch.

    Attributes:
        path: JSON pointer to what is changed, such as `/user/name`.
        from_: where `move` and `copy` take the value, called `from` on the wire.
        value: for `add`, `replace` and `test`; null is a value.
    """

    model_config = ConfigDict(json_schema_extra={"title": "PatchOperation"})

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: Pointer
    from_: Pointer | None = Field(None, alias="from")
    value: Any = None

    @model_validator(mode="after")
    def _complete(self) -> PatchOperation:
        if (self.op in NEEDS_VALUE) != ("value" in self.model_fields_set):
            raise ValueError(f"{self.op!r} {'needs' if self.op in NEEDS_VALUE else 'takes no'} `value`")
        if (self.op in NEEDS_FROM) != (self.from_ is not None):
            raise ValueError(f"{self.op!r} {'needs' if self.op in NEEDS_FROM else 'takes no'} `from`")
        return self

    def plain(self) -> dict[str, Any]:
        """As RFC 6902 writes it."""
        return self.model_dump(by_alias=True, exclude_unset=True)


Patch = Annotated[tuple[PatchOperation, ...], Field(min_length=1, max_length=MAX_OPERATIONS)]


def patched(data: dict[str, Any], patch: Sequence[PatchOperation]) -> dict[str, Any]:
    """The data after the patch; the given data stays as it is.

    Raises:
        PatchFailed: an operation does not fit, a test fails, or what comes out is no object or larger than a message.
    """
    value: Any = copy.deepcopy(data)
    for index, operation in enumerate(patch):
        try:
            value = jsonpatch.JsonPatch([operation.plain()]).apply(value, in_place=True)
            size = len(to_json(value))
        except NOT_POSSIBLE as error:
            reason = f"the value at {operation.path!r} is another" if operation.op == "test" else str(error)
            raise PatchFailed(index, reason) from error
        # A few copies into each other double the size each time, so it is looked at after every step.
        if size > MAX_BODY_BYTES:
            raise PatchFailed(index, f"the data would be larger than {MAX_BODY_BYTES} bytes")
    if not isinstance(value, dict):
        raise PatchFailed(len(patch) - 1, "the data of a job is a JSON object")
    return value
