"""The parts of the HTTP interface that the settings can switch off."""

from __future__ import annotations

from typing import Literal

Part = Literal["progress", "notifications", "live progress", "live notifications"]
