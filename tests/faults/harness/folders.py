"""Folders that every user can pass through: PostgreSQL runs as another one where we are root."""

from __future__ import annotations

import tempfile
from pathlib import Path


def temporary(prefix: str) -> Path:
    """A new folder among the temporary ones."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)
    return folder


def made(folder: Path) -> Path:
    """Makes the folder, whose parent is there."""
    folder.mkdir()
    folder.chmod(0o711)
    return folder
