"""Filters of job lists as SQL conditions: whoever lists or changes jobs by a filter builds them here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Conditions:
    """Conditions that all hold, with their values as numbered parameters."""

    def __init__(self, **values: Any) -> None:
        """Starts with equalities: `Conditions(tenant=…)`."""
        self._parts: list[str] = []
        self.values: list[Any] = []
        for column, value in values.items():
            self.add(f"{column} = {{}}", value)

    def add(self, condition: str, value: Any) -> None:
        """Adds a condition with `{}` where the value stands; None leaves it out."""
        if value is not None:
            self.values.append(value)
            self._parts.append(condition.format(f"${len(self.values)}"))

    def add_all(self, conditions: Mapping[str, Any]) -> None:
        """Adds conditions by their text."""
        for condition, value in conditions.items():
            self.add(condition, value)

    def parameter(self, value: Any) -> str:
        """The number of one more parameter."""
        self.values.append(value)
        return f"${len(self.values)}"

    def __str__(self) -> str:
        return " AND ".join(self._parts)
