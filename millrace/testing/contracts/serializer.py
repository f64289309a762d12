"""What every serializer does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millrace.serializers import Serializer

PLAIN: tuple[Any, ...] = (None, True, 0, 1.5, "größe", [1, [None]], {"deep": {"er": [{}]}}, {})


class SerializerContract:
    """The fixture `serializer` is one. `VALUES` of a subclass are values that it keeps beyond those of JSON."""

    VALUES: tuple[Any, ...] = ()

    def test_it_has_a_name_for_messages(self, serializer: Serializer) -> None:
        assert serializer.name.isprintable()
        assert 0 < len(serializer.name) <= 64

    def test_values_come_back_as_they_were(self, serializer: Serializer) -> None:
        for value in (*PLAIN, *self.VALUES):
            written = serializer.dump(value)
            # A message is JSON on its way.
            loaded = serializer.load(json.loads(json.dumps(written, allow_nan=False)))
            assert loaded == value
            assert type(loaded) is type(value)

    def test_equal_values_are_written_alike(self, serializer: Serializer) -> None:
        """A unique key that is made of the data depends on it."""
        for value in (*PLAIN, *self.VALUES):
            assert serializer.dump(value) == serializer.dump(value)

    def test_a_class_that_it_does_not_know_is_refused(self, serializer: Serializer) -> None:
        class Foreign: ...

        with pytest.raises(Exception, match=r"\S"):
            json.dumps(serializer.dump(Foreign()))
