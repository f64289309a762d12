"""What is wrong with a configuration, without ever showing its values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SettingsProblem:
    """One wrong key: where it is, what is wrong, and the nearest key that exists."""

    key: str
    reason: str
    nearest: str | None = None

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}" + (f" (did you mean {self.nearest}?)" if self.nearest else "")


class SettingsError(Exception):
    """Raised when settings cannot be used. The message is one line and names every wrong key; values never appear."""

    def __init__(self, *problems: SettingsProblem) -> None:
        super().__init__("settings: " + "; ".join(str(problem) for problem in problems))
        self.problems = problems


class SettingsFileError(SettingsError):
    """Raised when a settings file is missing, unreadable or no YAML or JSON mapping."""


class MissingVariable(SettingsError):
    """Raised when a settings file says `${NAME}` without a default and the environment has no NAME."""

    def __init__(self, key: str, variable: str) -> None:
        super().__init__(
            SettingsProblem(
                key, f"environment variable {variable} is not set; set it or write ${{{variable}:-default}}"
            )
        )
        self.key, self.variable = key, variable


class KeyRequired(SettingsError):
    """Raised when the service would listen beyond this machine without any API key."""

    def __init__(self, host: str) -> None:
        super().__init__(
            SettingsProblem("host", f"{host} is not a loopback address: set MILLRACE_API_KEYS first, as key=tenant")
        )
        self.host = host


class UnsupportedVendor(SettingsError):
    """Raised when an enabled module is composed with a vendor that is neither built in nor brought by an adapter."""

    def __init__(self, key: str, vendor: str, supported: tuple[str, ...], entry_point: str) -> None:
        super().__init__(
            SettingsProblem(
                key,
                f"{vendor!r} is not built in; supported are {', '.join(supported)}, "
                f"and any adapter installed under the entry point group {entry_point!r}",
            )
        )
        self.key, self.vendor, self.supported, self.entry_point = key, vendor, supported, entry_point
