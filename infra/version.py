"""The release that this code belongs to."""

from __future__ import annotations

VERSION = "0.1.0"
