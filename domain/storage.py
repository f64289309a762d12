"""The port of object storage: bytes that are too large for the log, or that have left it."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class StoredObject(NamedTuple):
    """Where bytes are, and what they must be.

    Attributes:
        name: `<tenant>/<folder>/<sha256>`; opaque to whoever only reads.
        sha256: hexadecimal, of the content.
        size: bytes.
    """

    name: str
    sha256: str
    size: int


class ObjectUnavailable(Exception):
    """Raised when the storage cannot be reached or written to now; trying again later may help."""


class ObjectMissing(Exception):
    """Raised when the storage has no object of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"object {name} is not in the storage; was it deleted, or is another storage configured?")
        self.name = name


class ObjectDamaged(Exception):
    """Raised when an object's content is not what was stored; restore it from a backup of the storage."""

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(f"object {name} is damaged: its SHA-256 is {found}, not {expected}")
        self.name, self.expected, self.found = name, expected, found


class ObjectStore(Protocol):
    """Keeps objects that never change. The name follows from the content, so that storing one twice changes nothing."""

    async def put(self, tenant: str, folder: str, content: bytes) -> StoredObject:
        """Stores the content; it outlasts a power cut when this returns.

        Raises:
            ObjectUnavailable: it was not stored.
        """
        ...

    async def get(self, stored: StoredObject) -> bytes:
        """The content, checked against its hash.

        Raises:
            ObjectMissing: there is no such object.
            ObjectDamaged: it is not what was stored.
            ObjectUnavailable: the storage does not answer.
        """
        ...

    async def size(self, stored: StoredObject) -> int:
        """How many bytes the object has where it is; its content is not looked at.

        Raises:
            ObjectMissing: there is no such object.
            ObjectUnavailable: the storage does not answer.
        """
        ...

    async def delete(self, stored: StoredObject) -> None:
        """Removes the object; one that is not there is no error.

        Raises:
            ObjectUnavailable: it may still be there.
        """
        ...
