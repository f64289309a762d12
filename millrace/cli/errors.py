"""What the command line says when it cannot do what was asked: one line, with what helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.errors import MillraceError, Refused, Unavailable

WRONG_USAGE = 2


class CliError(Exception):
    """Raised when a command cannot go on and the person at the terminal can do something about it.

    Attributes:
        message: one line that says what is wrong and what helps.
        exit_code: exit status of the process; 2 for wrong usage, otherwise 1.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class ServiceNotInstalled(CliError):
    """Raised when the service is started on an installation that has the client alone."""

    def __init__(self) -> None:
        super().__init__(
            "the Millrace service is not installed here; get it, in a checkout of Millrace, with: "
            "pip install . ./packaging/server"
        )


class TargetNotFound(CliError):
    """Raised when `module:app` names a module or an attribute that does not exist."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"cannot load {target!r}: {reason}", WRONG_USAGE)
        self.target = target
        self.reason = reason


class ApplicationBroken(CliError):
    """Raised when the module of `module:app` raises an error while it is imported.

    Attributes:
        target: the application as it was named.
        error: the class and the first line of what was raised.
        place: the file and the line, of the application's own code where it is in the traceback.
    """

    def __init__(self, target: str, error: str, place: str) -> None:
        module = target.partition(":")[0]
        super().__init__(f"cannot load {target!r}: importing {module!r} raised {error}, at {place}", WRONG_USAGE)
        self.target = target
        self.error = error
        self.place = place


class PortTaken(CliError):
    """Raised when another program listens on the address that the service was given."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is in use; choose another one with --port")
        self.host = host
        self.port = port


class AddressRefused(CliError):
    """Raised when this machine cannot listen on the given host."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"cannot listen on {host}: {reason}")
        self.host = host


def explained(error: Exception) -> CliError:
    """Any error as one line for the terminal."""
    match error:
        case CliError():
            return error
        case Unavailable():
            return CliError(
                f"{_line(error)}; start a service with `millrace up`, or name one with --url or MILLRACE_URL"
            )
        case Refused(errors=[_, *_] as fields):
            wrong = "; ".join(f"{_place(field)}: {field.get('msg', field.get('detail', ''))}" for field in fields)
            return CliError(f"{error.problem.title}: {wrong}")
        case Refused():
            return CliError(error.problem.detail or error.problem.title)
        case MillraceError() | ValueError():
            return CliError(_line(error))
        case _:
            return CliError(f"{type(error).__name__}: {_line(error)} (MILLRACE_DEBUG=1 shows where)")


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _place(field: Mapping[str, Any]) -> str:
    place = field.get("loc", field.get("field", "body"))
    return ".".join(str(part) for part in place) if isinstance(place, list | tuple) else str(place)
