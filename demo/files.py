"""Temporary folders."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def removed_at_the_end(folder: Path) -> Iterator[None]:
    """Removes `folder`, which somebody else makes inside the block, when the block ends."""
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
